-- What lists tell of every feed's bytes, to be read without walking through the bytes.
CREATE INDEX feed_renditions_facts
    ON feed_renditions (feed_id, length(body), last_modified_at, left_out, left_out_ahead, left_out_from)
    WHERE length(body) > 0;
