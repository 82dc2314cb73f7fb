CREATE TABLE alert_audit(
  audit_id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, who TEXT NOT NULL, why TEXT NOT NULL,
  action TEXT NOT NULL CHECK(action IN ('replay','discard')), delivery_id INTEGER NOT NULL, alert_id TEXT NOT NULL,
  run_id TEXT NOT NULL, notifier TEXT NOT NULL, attempt INTEGER NOT NULL, last_error TEXT);
