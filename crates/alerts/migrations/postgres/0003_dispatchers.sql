-- Who was last heard of when, nanoseconds since 1970-01-01 UTC: deliveries of a run are adopted, and its rows forgotten, only when its
-- dispatcher has been silent for long. Those of an older version are given the time of this migration.
CREATE TABLE alert_dispatchers(
  run_id TEXT NOT NULL, phase TEXT NOT NULL, seen_at BIGINT NOT NULL, PRIMARY KEY(run_id, phase));
INSERT INTO alert_dispatchers SELECT DISTINCT run_id, phase, (extract(epoch FROM now()) * 1000000000)::bigint FROM alerts;
-- Alerts that were counted into one summary which is still to be made: how many by rule and key, since when, and the last of them.
CREATE TABLE alert_overflow(
  run_id TEXT NOT NULL, phase TEXT NOT NULL, rule_id TEXT NOT NULL, aggregation_key TEXT NOT NULL, alerts BIGINT NOT NULL,
  since BIGINT NOT NULL, last_alert_id TEXT NOT NULL);
CREATE UNIQUE INDEX alert_overflow_key ON alert_overflow(run_id, phase, rule_id, md5(aggregation_key));
CREATE INDEX alert_overflow_last ON alert_overflow(last_alert_id);
-- The newest of a key are read however many were counted into others.
CREATE INDEX alerts_delivered ON alerts(run_id, phase, rule_id, md5(aggregation_key), raised_at) WHERE disposition = 'deliver';
