//! Pure steps that add to a valid event what the edge of the service knows.
