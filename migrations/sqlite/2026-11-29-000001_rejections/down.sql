-- Drops the kept rejections and their counts.

DROP TABLE rejections;
DROP TABLE rejection_counts;
ALTER TABLE deletions DROP COLUMN rejections;
