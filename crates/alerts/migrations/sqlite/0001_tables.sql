CREATE TABLE alerts(
  alert_id TEXT PRIMARY KEY, run_id TEXT NOT NULL, phase TEXT NOT NULL, rule_id TEXT NOT NULL, severity TEXT NOT NULL,
  source TEXT NOT NULL, title TEXT NOT NULL, message TEXT NOT NULL, labels TEXT NOT NULL, aggregation_key TEXT NOT NULL,
  raised_at INTEGER NOT NULL,
  disposition TEXT NOT NULL CHECK(disposition IN ('deliver','throttled','aggregated','store_only')));
CREATE INDEX alerts_throttle ON alerts(run_id, phase, rule_id, aggregation_key, raised_at);
CREATE TABLE alert_deliveries(
  delivery_id INTEGER PRIMARY KEY AUTOINCREMENT, alert_id TEXT NOT NULL REFERENCES alerts(alert_id),
  run_id TEXT NOT NULL, phase TEXT NOT NULL, notifier TEXT NOT NULL,
  status TEXT NOT NULL CHECK(status IN ('PENDING','SENDING','RETRY','SENT','FAILED','DLQ','CANCELLED')),
  attempt INTEGER NOT NULL, next_attempt_at INTEGER NOT NULL, lease_until INTEGER, last_error TEXT, latency_ms INTEGER,
  created_at INTEGER NOT NULL, settled_at INTEGER, fallback_of INTEGER REFERENCES alert_deliveries(delivery_id),
  UNIQUE(alert_id, notifier));
CREATE INDEX alert_deliveries_open ON alert_deliveries(status, next_attempt_at);
CREATE TABLE alert_cursors(source TEXT PRIMARY KEY, position INTEGER NOT NULL);
