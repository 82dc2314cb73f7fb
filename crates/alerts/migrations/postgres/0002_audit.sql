CREATE TABLE alert_audit(
  audit_id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at BIGINT NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL,
  action TEXT NOT NULL CHECK(action IN ('replay','discard')), delivery_id BIGINT NOT NULL, alert_id TEXT NOT NULL,
  run_id TEXT NOT NULL, notifier TEXT NOT NULL, attempt BIGINT NOT NULL, last_error TEXT);
