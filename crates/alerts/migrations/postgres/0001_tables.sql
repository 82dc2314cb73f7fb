-- The tables of the embedded store. Times are nanoseconds since 1970-01-01 UTC; to_timestamp(raised_at / 1e9) shows one.
CREATE TABLE alerts(
  alert_id TEXT PRIMARY KEY, run_id TEXT NOT NULL, phase TEXT NOT NULL, rule_id TEXT NOT NULL, severity TEXT NOT NULL,
  source TEXT NOT NULL, title TEXT NOT NULL, message TEXT NOT NULL, labels JSONB NOT NULL, aggregation_key TEXT NOT NULL,
  raised_at BIGINT NOT NULL,
  disposition TEXT NOT NULL CHECK(disposition IN ('deliver','throttled','aggregated','store_only')));
CREATE INDEX alerts_throttle ON alerts(run_id, phase, rule_id, md5(aggregation_key), raised_at);
CREATE INDEX alerts_raised ON alerts(raised_at);
CREATE TABLE alert_deliveries(
  delivery_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, alert_id TEXT NOT NULL REFERENCES alerts(alert_id),
  run_id TEXT NOT NULL, phase TEXT NOT NULL, notifier TEXT NOT NULL,
  status TEXT NOT NULL CHECK(status IN ('PENDING','SENDING','RETRY','SENT','FAILED','DLQ','CANCELLED')),
  attempt BIGINT NOT NULL, next_attempt_at BIGINT NOT NULL, lease_until BIGINT, last_error TEXT, latency_ms BIGINT,
  created_at BIGINT NOT NULL, settled_at BIGINT, fallback_of BIGINT REFERENCES alert_deliveries(delivery_id),
  UNIQUE(alert_id, notifier));
-- A claim reads one row of an index however long the queue is.
CREATE INDEX alert_deliveries_due ON alert_deliveries(run_id, phase, next_attempt_at, delivery_id)
  WHERE status IN ('PENDING','RETRY');
CREATE INDEX alert_deliveries_lane ON alert_deliveries(run_id, phase, notifier, next_attempt_at, delivery_id)
  WHERE status IN ('PENDING','RETRY');
CREATE INDEX alert_deliveries_waiting ON alert_deliveries(next_attempt_at, delivery_id) WHERE status IN ('PENDING','RETRY');
CREATE INDEX alert_deliveries_leased ON alert_deliveries(lease_until, delivery_id) WHERE status = 'SENDING';
CREATE INDEX alert_deliveries_dead ON alert_deliveries(delivery_id) WHERE status = 'DLQ';
CREATE INDEX alert_deliveries_fallback ON alert_deliveries(fallback_of) WHERE fallback_of IS NOT NULL;
CREATE TABLE alert_cursors(source TEXT PRIMARY KEY, position BIGINT NOT NULL, moved_at BIGINT NOT NULL);
