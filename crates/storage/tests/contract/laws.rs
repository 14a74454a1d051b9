//! Laws that hold for any groups in any order.
