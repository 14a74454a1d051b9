-- Which programs may work with this file, so that the release before can open it once more after its successor did
-- (docs/adr/0010-older-servers-over-a-newer-schema.md).
--
-- A migration that leaves older programs everything they use does not touch it. One that takes something from them, or changes what it
-- means, raises the version to its own here, in its up.sql, and lowers it again in its down.sql.

CREATE TABLE schema_compatibility (
    -- There is one row.
    id INTEGER NOT NULL PRIMARY KEY,
    -- The version of the oldest migration that a program must know. One whose newest migration is older than this must not run.
    minimum_version TEXT NOT NULL,
    CONSTRAINT schema_compatibility_one_row CHECK (id = 1),
    CONSTRAINT schema_compatibility_version CHECK (length(minimum_version) = 14 AND minimum_version NOT GLOB '*[^0-9]*')
) STRICT;

INSERT INTO schema_compatibility (id, minimum_version) VALUES (1, '20261124110000');
