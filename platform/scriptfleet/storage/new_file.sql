CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE jobs (
	job_id TEXT NOT NULL, 
	kind TEXT, 
	name TEXT, 
	queue TEXT, 
	priority INTEGER, 
	group_name TEXT, 
	labels JSON, 
	schedule TEXT, 
	submitted_by TEXT, 
	spec TEXT, 
	submitted_at DOUBLE NOT NULL, 
	state TEXT NOT NULL, 
	revision BIGINT NOT NULL, 
	finished_at DOUBLE, 
	reason TEXT, 
	attempt INTEGER NOT NULL, 
	last_run_id TEXT, 
	run_revision BIGINT NOT NULL, 
	started_at DOUBLE, signature TEXT, is_spec_whole BOOLEAN, due_at DOUBLE, 
	CONSTRAINT pk_jobs PRIMARY KEY (job_id)
);
CREATE INDEX ix_jobs_submitted_at ON jobs (submitted_at, job_id);
CREATE INDEX ix_jobs_state ON jobs (state, submitted_at, job_id);
CREATE INDEX ix_jobs_name ON jobs (name, submitted_at, job_id);
CREATE INDEX ix_jobs_schedule ON jobs (schedule, submitted_at, job_id);
CREATE TABLE runs (
	run_id TEXT NOT NULL, 
	job_id TEXT NOT NULL, 
	name TEXT, 
	kind TEXT, 
	queue TEXT, 
	attempt INTEGER, 
	worker TEXT, 
	host TEXT, 
	outcome TEXT, 
	is_stale BOOLEAN, 
	claimed_at DOUBLE, 
	started_at DOUBLE, 
	finished_at DOUBLE, 
	start_time TEXT, 
	end_time TEXT, 
	execution_time_seconds DOUBLE, 
	exit_code BIGINT, 
	signal BIGINT, 
	success BOOLEAN, 
	error_message TEXT, 
	error_type TEXT, 
	cpu_max DOUBLE, 
	cpu_avg DOUBLE, 
	cpu_min DOUBLE, 
	user_time_seconds DOUBLE, 
	system_time_seconds DOUBLE, 
	memory_max_mb DOUBLE, 
	memory_avg_mb DOUBLE, 
	memory_min_mb DOUBLE, 
	memory_charged_max_mb DOUBLE, 
	cpu_method TEXT, 
	memory_method TEXT, 
	io_method TEXT, 
	pids_method TEXT, 
	page_faults_minor BIGINT, 
	page_faults_major BIGINT, 
	num_threads BIGINT, 
	num_fds BIGINT, 
	pids_count BIGINT, 
	voluntary_context_switches BIGINT, 
	involuntary_context_switches BIGINT, 
	block_io_read_bytes BIGINT, 
	block_io_write_bytes BIGINT, 
	network_rx_bytes BIGINT, 
	network_tx_bytes BIGINT, 
	memory_limit_mb DOUBLE, 
	memory_percent DOUBLE, 
	stdout_lines BIGINT, 
	stderr_lines BIGINT, 
	stdout_size_bytes BIGINT, 
	stderr_size_bytes BIGINT, 
	gpu_util_max DOUBLE, 
	gpu_memory_max_mb DOUBLE, 
	python_version TEXT, 
	platform TEXT, 
	queue_wait_seconds DOUBLE, 
	start_overhead_seconds DOUBLE, 
	custom JSON, 
	output_data JSON, 
	stdout_cut_bytes BIGINT, 
	stderr_cut_bytes BIGINT, cpu_throttled_seconds DOUBLE, cpu_stalled_seconds DOUBLE, memory_stalled_seconds DOUBLE, io_stalled_seconds DOUBLE, artifacts JSON, group_name TEXT, began_at DOUBLE, 
	CONSTRAINT pk_runs PRIMARY KEY (run_id)
);
CREATE TABLE curves (
	run_id TEXT NOT NULL, 
	packed BLOB NOT NULL, process_tree BLOB, 
	CONSTRAINT pk_curves PRIMARY KEY (run_id)
);
CREATE TABLE outputs (
	run_id TEXT NOT NULL, 
	stream TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	body BLOB NOT NULL, 
	size_bytes INTEGER NOT NULL, 
	CONSTRAINT pk_outputs PRIMARY KEY (run_id, stream, number)
);
CREATE TABLE tails (
	run_id TEXT NOT NULL, 
	stream TEXT NOT NULL, 
	content TEXT NOT NULL, 
	CONSTRAINT pk_tails PRIMARY KEY (run_id, stream)
);
CREATE TABLE schedules (
	schedule_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	spec TEXT NOT NULL, 
	every_seconds DOUBLE NOT NULL, 
	next_due_ms BIGINT NOT NULL, 
	is_enabled BOOLEAN NOT NULL, 
	last_job_id TEXT, 
	created_at DOUBLE NOT NULL, 
	content BLOB, 
	CONSTRAINT pk_schedules PRIMARY KEY (schedule_id), 
	CONSTRAINT uq_schedules_name UNIQUE (name)
);
CREATE INDEX ix_schedules_next_due_ms ON schedules (is_enabled, next_due_ms);
CREATE TABLE brokers (
	namespace TEXT NOT NULL, 
	epoch TEXT NOT NULL, 
	stored_until DOUBLE NOT NULL, 
	wiped_at DOUBLE, 
	CONSTRAINT pk_brokers PRIMARY KEY (namespace)
);
CREATE TABLE labels (
	job_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_labels PRIMARY KEY (job_id, name)
);
CREATE INDEX ix_labels_name ON labels (name, value, job_id);
CREATE INDEX ix_runs_job_id ON runs (job_id, began_at, run_id);
CREATE INDEX ix_runs_began_at ON runs (began_at, run_id);
CREATE INDEX ix_runs_outcome ON runs (outcome, began_at, run_id);
CREATE INDEX ix_jobs_group_name ON jobs (group_name, submitted_at, job_id);
CREATE INDEX ix_jobs_finished_at ON jobs (finished_at, job_id);
CREATE INDEX ix_runs_group_name ON runs (group_name, began_at, run_id);
CREATE INDEX ix_runs_worker ON runs (worker, began_at, run_id);
CREATE TABLE retention_policies (
	name TEXT NOT NULL, 
	retention_days DOUBLE NOT NULL, 
	archive_path TEXT, 
	compliance TEXT, 
	erase_days DOUBLE, 
	created_at DOUBLE NOT NULL, 
	next_at DOUBLE NOT NULL, 
	last_at DOUBLE, 
	last_result JSON, 
	CONSTRAINT pk_retention_policies PRIMARY KEY (name)
);
CREATE TABLE run_alerts (
	run_id TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	raised_at DOUBLE NOT NULL, 
	name TEXT, 
	severity TEXT, 
	details JSON NOT NULL, 
	CONSTRAINT pk_run_alerts PRIMARY KEY (run_id, number)
);
CREATE TABLE definitions (
	name TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	spec TEXT, 
	parameters TEXT, 
	description TEXT NOT NULL, 
	content BLOB, 
	changed_by TEXT NOT NULL, 
	changed_at DOUBLE NOT NULL, 
	CONSTRAINT pk_definitions PRIMARY KEY (name, version)
);
CREATE TABLE tokens (
	name TEXT NOT NULL, 
	secret_hash TEXT NOT NULL, 
	role TEXT NOT NULL, 
	created_at DOUBLE NOT NULL, 
	created_by TEXT NOT NULL, 
	expires_at DOUBLE, 
	revoked_at DOUBLE, 
	last_used_at DOUBLE, 
	CONSTRAINT pk_tokens PRIMARY KEY (name), 
	CONSTRAINT uq_tokens_secret_hash UNIQUE (secret_hash)
);
CREATE TABLE sessions (
	secret_hash TEXT NOT NULL, 
	token_name TEXT, 
	proof TEXT, 
	created_at DOUBLE NOT NULL, 
	expires_at DOUBLE NOT NULL, 
	CONSTRAINT pk_sessions PRIMARY KEY (secret_hash)
);
CREATE INDEX ix_sessions_token_name ON sessions (token_name);
CREATE INDEX ix_sessions_expires_at ON sessions (expires_at);
CREATE TABLE audit (
	entry_id TEXT NOT NULL, 
	at DOUBLE NOT NULL, 
	actor TEXT NOT NULL, 
	role TEXT, 
	address TEXT, 
	action TEXT NOT NULL, 
	target TEXT NOT NULL, 
	result TEXT NOT NULL, 
	detail JSON, 
	CONSTRAINT pk_audit PRIMARY KEY (entry_id)
);
CREATE INDEX ix_audit_at ON audit (at, entry_id);
CREATE INDEX ix_audit_actor ON audit (actor, at, entry_id);
CREATE INDEX ix_audit_action ON audit (action, at, entry_id);
CREATE INDEX ix_audit_target ON audit (target, at, entry_id);
CREATE INDEX ix_runs_name ON runs (name, began_at, run_id, outcome, execution_time_seconds, cpu_max, cpu_avg, user_time_seconds, system_time_seconds, memory_max_mb, queue_wait_seconds);
CREATE TABLE segments (
	segment_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	from_at DOUBLE NOT NULL, 
	until_at DOUBLE NOT NULL, 
	runs INTEGER NOT NULL, 
	state INTEGER NOT NULL, 
	CONSTRAINT pk_segments PRIMARY KEY (segment_id)
);
CREATE INDEX ix_segments_name ON segments (name, until_at);
CREATE INDEX ix_segments_until_at ON segments (until_at);
CREATE TABLE segment_columns (
	segment_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	count INTEGER NOT NULL, 
	packed BLOB NOT NULL, 
	CONSTRAINT pk_segment_columns PRIMARY KEY (segment_id, name)
);
CREATE TABLE upkeep (
	task TEXT NOT NULL, 
	next_at DOUBLE NOT NULL, 
	CONSTRAINT pk_upkeep PRIMARY KEY (task)
);
CREATE TRIGGER runs_inserted AFTER INSERT ON runs WHEN NEW.began_at < (SELECT max(until_at) FROM segments) BEGIN UPDATE segments SET state = 0 WHERE name = NEW.name AND until_at > NEW.began_at AND from_at <= NEW.began_at AND state > 0; END;
CREATE TRIGGER runs_deleted AFTER DELETE ON runs WHEN OLD.began_at < (SELECT max(until_at) FROM segments) BEGIN UPDATE segments SET state = 0 WHERE name = OLD.name AND until_at > OLD.began_at AND from_at <= OLD.began_at AND state > 0; END;
CREATE TRIGGER runs_updated AFTER UPDATE OF name, kind, queue, group_name, worker, outcome, began_at, success, custom, execution_time_seconds, exit_code, signal, cpu_max, cpu_avg, cpu_min, user_time_seconds, system_time_seconds, memory_max_mb, memory_avg_mb, memory_min_mb, memory_charged_max_mb, page_faults_minor, page_faults_major, num_threads, num_fds, pids_count, voluntary_context_switches, involuntary_context_switches, block_io_read_bytes, block_io_write_bytes, network_rx_bytes, network_tx_bytes, memory_limit_mb, memory_percent, cpu_throttled_seconds, cpu_stalled_seconds, memory_stalled_seconds, io_stalled_seconds, stdout_lines, stderr_lines, stdout_size_bytes, stderr_size_bytes, gpu_util_max, gpu_memory_max_mb, queue_wait_seconds, start_overhead_seconds ON runs WHEN (OLD.began_at < (SELECT max(until_at) FROM segments) OR NEW.began_at < (SELECT max(until_at) FROM segments)) AND (OLD.name IS NOT NEW.name OR OLD.kind IS NOT NEW.kind OR OLD.queue IS NOT NEW.queue OR OLD.group_name IS NOT NEW.group_name OR OLD.worker IS NOT NEW.worker OR OLD.outcome IS NOT NEW.outcome OR OLD.began_at IS NOT NEW.began_at OR OLD.success IS NOT NEW.success OR OLD.custom IS NOT NEW.custom OR OLD.execution_time_seconds IS NOT NEW.execution_time_seconds OR OLD.exit_code IS NOT NEW.exit_code OR OLD.signal IS NOT NEW.signal OR OLD.cpu_max IS NOT NEW.cpu_max OR OLD.cpu_avg IS NOT NEW.cpu_avg OR OLD.cpu_min IS NOT NEW.cpu_min OR OLD.user_time_seconds IS NOT NEW.user_time_seconds OR OLD.system_time_seconds IS NOT NEW.system_time_seconds OR OLD.memory_max_mb IS NOT NEW.memory_max_mb OR OLD.memory_avg_mb IS NOT NEW.memory_avg_mb OR OLD.memory_min_mb IS NOT NEW.memory_min_mb OR OLD.memory_charged_max_mb IS NOT NEW.memory_charged_max_mb OR OLD.page_faults_minor IS NOT NEW.page_faults_minor OR OLD.page_faults_major IS NOT NEW.page_faults_major OR OLD.num_threads IS NOT NEW.num_threads OR OLD.num_fds IS NOT NEW.num_fds OR OLD.pids_count IS NOT NEW.pids_count OR OLD.voluntary_context_switches IS NOT NEW.voluntary_context_switches OR OLD.involuntary_context_switches IS NOT NEW.involuntary_context_switches OR OLD.block_io_read_bytes IS NOT NEW.block_io_read_bytes OR OLD.block_io_write_bytes IS NOT NEW.block_io_write_bytes OR OLD.network_rx_bytes IS NOT NEW.network_rx_bytes OR OLD.network_tx_bytes IS NOT NEW.network_tx_bytes OR OLD.memory_limit_mb IS NOT NEW.memory_limit_mb OR OLD.memory_percent IS NOT NEW.memory_percent OR OLD.cpu_throttled_seconds IS NOT NEW.cpu_throttled_seconds OR OLD.cpu_stalled_seconds IS NOT NEW.cpu_stalled_seconds OR OLD.memory_stalled_seconds IS NOT NEW.memory_stalled_seconds OR OLD.io_stalled_seconds IS NOT NEW.io_stalled_seconds OR OLD.stdout_lines IS NOT NEW.stdout_lines OR OLD.stderr_lines IS NOT NEW.stderr_lines OR OLD.stdout_size_bytes IS NOT NEW.stdout_size_bytes OR OLD.stderr_size_bytes IS NOT NEW.stderr_size_bytes OR OLD.gpu_util_max IS NOT NEW.gpu_util_max OR OLD.gpu_memory_max_mb IS NOT NEW.gpu_memory_max_mb OR OLD.queue_wait_seconds IS NOT NEW.queue_wait_seconds OR OLD.start_overhead_seconds IS NOT NEW.start_overhead_seconds) BEGIN UPDATE segments SET state = 0 WHERE name = OLD.name AND until_at > OLD.began_at AND from_at <= OLD.began_at AND state > 0; UPDATE segments SET state = 0 WHERE name = NEW.name AND until_at > NEW.began_at AND from_at <= NEW.began_at AND state > 0; END;
CREATE TRIGGER labels_deleted AFTER DELETE ON labels WHEN EXISTS (SELECT 1 FROM runs WHERE job_id = OLD.job_id AND began_at < (SELECT max(until_at) FROM segments)) BEGIN UPDATE segments SET state = 0 WHERE state > 0 AND segment_id IN (SELECT one.segment_id FROM runs JOIN segments one ON one.name = runs.name AND one.until_at > runs.began_at AND one.from_at <= runs.began_at WHERE runs.job_id = OLD.job_id); END;
CREATE TRIGGER labels_updated AFTER UPDATE ON labels WHEN EXISTS (SELECT 1 FROM runs WHERE job_id = NEW.job_id AND began_at < (SELECT max(until_at) FROM segments)) BEGIN UPDATE segments SET state = 0 WHERE state > 0 AND segment_id IN (SELECT one.segment_id FROM runs JOIN segments one ON one.name = runs.name AND one.until_at > runs.began_at AND one.from_at <= runs.began_at WHERE runs.job_id = NEW.job_id); END;
INSERT INTO alembic_version VALUES ('0011');
