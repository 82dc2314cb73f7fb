-- A claim reads one row of an index however long the queue is.
DROP INDEX alert_deliveries_open;
CREATE INDEX alert_deliveries_due ON alert_deliveries(run_id, phase, next_attempt_at, delivery_id)
  WHERE status IN ('PENDING','RETRY');
CREATE INDEX alert_deliveries_lane ON alert_deliveries(run_id, phase, notifier, next_attempt_at, delivery_id)
  WHERE status IN ('PENDING','RETRY');
CREATE INDEX alert_deliveries_waiting ON alert_deliveries(next_attempt_at, delivery_id) WHERE status IN ('PENDING','RETRY');
CREATE INDEX alert_deliveries_leased ON alert_deliveries(lease_until, delivery_id) WHERE status = 'SENDING';
CREATE INDEX alert_deliveries_dead ON alert_deliveries(delivery_id) WHERE status = 'DLQ';
CREATE INDEX alert_deliveries_fallback ON alert_deliveries(fallback_of) WHERE fallback_of IS NOT NULL;
CREATE INDEX alerts_raised ON alerts(raised_at);
-- When the cursor moved, nanoseconds since 1970-01-01 UTC: cursors of ended runs go after the retention time.
ALTER TABLE alert_cursors ADD COLUMN moved_at INTEGER NOT NULL DEFAULT 0;
