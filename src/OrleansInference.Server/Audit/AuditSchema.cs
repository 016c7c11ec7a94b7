using OrleansInference.Sqlite;

namespace OrleansInference.Audit;

/// <summary>The tables of the audit log.</summary>
internal static class AuditSchema
{
    // Totals are kept by a trigger, in the transaction of the record itself: a sum over years of records costs one small read.
    public static readonly SqliteSchema Schema = new("audit", [
        """
        CREATE TABLE audit_run (run INTEGER PRIMARY KEY, started_at INTEGER NOT NULL, ended_at INTEGER);
        CREATE TABLE audit (
            seq INTEGER PRIMARY KEY, run INTEGER NOT NULL, kind INTEGER NOT NULL, records INTEGER NOT NULL, tenant TEXT NOT NULL,
            request TEXT NOT NULL, decision TEXT NOT NULL, model TEXT NOT NULL, class INTEGER NOT NULL, lane INTEGER NOT NULL,
            endpoint TEXT NOT NULL, cap INTEGER NOT NULL, charge INTEGER NOT NULL, reserved_at INTEGER NOT NULL, ended_at INTEGER NOT NULL,
            arrived_at INTEGER NOT NULL, deadline INTEGER NOT NULL, service_ms REAL NOT NULL, input_tokens INTEGER NOT NULL, problem INTEGER);
        CREATE INDEX audit_by_run ON audit (run, ended_at);
        CREATE TABLE audit_total (tenant TEXT NOT NULL PRIMARY KEY, records INTEGER NOT NULL, settled INTEGER NOT NULL, charged INTEGER NOT NULL) WITHOUT ROWID;
        CREATE TRIGGER audit_totals AFTER INSERT ON audit BEGIN
            INSERT INTO audit_total VALUES (new.tenant, new.records, CASE new.kind WHEN 0 THEN new.records ELSE 0 END, new.charge)
            ON CONFLICT (tenant) DO UPDATE SET records = records + excluded.records, settled = settled + excluded.settled, charged = charged + excluded.charged;
        END;
        """,
        """
        ALTER TABLE audit_total ADD COLUMN folded INTEGER NOT NULL DEFAULT 0;
        DROP TRIGGER audit_totals;
        CREATE TRIGGER audit_totals AFTER INSERT ON audit BEGIN
            INSERT INTO audit_total (tenant, records, settled, charged, folded)
            VALUES (new.tenant, new.records, CASE new.kind WHEN 0 THEN new.records ELSE 0 END, new.charge, CASE new.request WHEN '(folded)' THEN new.records ELSE 0 END)
            ON CONFLICT (tenant) DO UPDATE SET records = records + excluded.records, settled = settled + excluded.settled,
                charged = charged + excluded.charged, folded = folded + excluded.folded;
        END;
        CREATE TABLE audit_removed (id INTEGER PRIMARY KEY CHECK (id = 0), records INTEGER NOT NULL, charged INTEGER NOT NULL, until INTEGER NOT NULL);
        INSERT INTO audit_removed VALUES (0, 0, 0, 0);
        CREATE TRIGGER audit_removals AFTER DELETE ON audit BEGIN
            UPDATE audit_removed SET records = records + old.records, charged = charged + old.charge, until = max(until, old.ended_at);
        END;
        """,
        """
        ALTER TABLE audit ADD COLUMN reservation TEXT;
        CREATE UNIQUE INDEX audit_once ON audit (reservation) WHERE reservation IS NOT NULL;
        """,

        // The router's clock never goes back, not over a restart: what arrived before a run began was taken by an earlier one.
        """
        ALTER TABLE audit_total ADD COLUMN carried INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE audit_total ADD COLUMN carried_predictions INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE audit_total ADD COLUMN carried_charged INTEGER NOT NULL DEFAULT 0;
        CREATE TRIGGER audit_carried_over AFTER INSERT ON audit WHEN new.arrived_at > 0 AND new.arrived_at <= (SELECT started_at FROM audit_run WHERE run = new.run) BEGIN
            INSERT INTO audit_total (tenant, records, settled, charged, carried, carried_predictions, carried_charged)
            VALUES (new.tenant, 0, 0, 0, new.records, CASE WHEN new.problem IS NULL THEN new.records ELSE 0 END, new.charge)
            ON CONFLICT (tenant) DO UPDATE SET carried = carried + excluded.carried,
                carried_predictions = carried_predictions + excluded.carried_predictions, carried_charged = carried_charged + excluded.carried_charged;
        END;
        """,

        // Shares of batch windows (kind 2) are no ended reservations: they have a sum of their own.
        """
        ALTER TABLE audit ADD COLUMN cost INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE audit_total ADD COLUMN window_cost INTEGER NOT NULL DEFAULT 0;
        DROP TRIGGER audit_totals;
        CREATE TRIGGER audit_totals AFTER INSERT ON audit WHEN new.kind <> 2 BEGIN
            INSERT INTO audit_total (tenant, records, settled, charged, folded)
            VALUES (new.tenant, new.records, CASE new.kind WHEN 0 THEN new.records ELSE 0 END, new.charge, CASE new.request WHEN '(folded)' THEN new.records ELSE 0 END)
            ON CONFLICT (tenant) DO UPDATE SET records = records + excluded.records, settled = settled + excluded.settled,
                charged = charged + excluded.charged, folded = folded + excluded.folded;
        END;
        CREATE TRIGGER audit_shares AFTER INSERT ON audit WHEN new.kind = 2 BEGIN
            INSERT INTO audit_total (tenant, records, settled, charged, window_cost) VALUES (new.tenant, 0, 0, 0, new.cost)
            ON CONFLICT (tenant) DO UPDATE SET window_cost = window_cost + excluded.window_cost;
        END;
        DROP TRIGGER audit_removals;
        CREATE TRIGGER audit_removals AFTER DELETE ON audit WHEN old.kind <> 2 BEGIN
            UPDATE audit_removed SET records = records + old.records, charged = charged + old.charge, until = max(until, old.ended_at);
        END;
        """,
    ]);

    /// <summary>In <c>request</c> and <c>decision</c> of a record that stands for several.</summary>
    public const string Folded = "(folded)";

    public const string Insert = """
        INSERT INTO audit (run, kind, records, tenant, request, decision, model, class, lane, endpoint, cap, charge, reserved_at, ended_at, arrived_at, deadline, service_ms, input_tokens, problem, reservation, cost)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)
        ON CONFLICT (reservation) WHERE reservation IS NOT NULL DO NOTHING
        """;

    public const string Select = """
        SELECT kind, tenant, request, decision, model, class, lane, endpoint, cap, charge, reserved_at, ended_at, arrived_at, deadline, service_ms, input_tokens, problem, seq, reservation, cost
        FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2
        """;

    // Records stand about in the order of their ends. The last stays: the next one's number is above it.
    public const string Remove = """
        DELETE FROM audit WHERE seq IN (SELECT seq FROM (SELECT seq, ended_at FROM audit ORDER BY seq LIMIT ?1) WHERE ended_at < ?2)
            AND seq < (SELECT max(seq) FROM audit)
        """;

    public const string RemoveRuns = """
        DELETE FROM audit_run WHERE coalesce(ended_at, started_at) < ?1 AND run <> ?2 AND NOT EXISTS (SELECT 1 FROM audit WHERE audit.run = audit_run.run)
        """;

    // Without the pages that removed records have left free: they are used again first.
    public const string UsedBytes = """
        SELECT ((SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM pragma_freelist_count)) * (SELECT page_size FROM pragma_page_size)
        """;
}
