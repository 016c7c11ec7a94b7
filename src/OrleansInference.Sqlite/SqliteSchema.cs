using System.Collections.Immutable;

namespace OrleansInference.Sqlite;

/// <summary>
/// The tables of one component. <paramref name="Migrations"/> are SQL scripts: the one at index <c>i</c> takes the file
/// from version <c>i</c> to <c>i + 1</c>. Scripts are only ever appended.
/// </summary>
internal sealed record SqliteSchema(string Component, ImmutableArray<string> Migrations)
{
    private const string VersionTable = "CREATE TABLE IF NOT EXISTS schema_version (component TEXT NOT NULL PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID;";

    /// <summary>Brings the component's tables up to date, all or nothing.</summary>
    /// <exception cref="DataFileException">The file was written by a newer release.</exception>
    public void Apply(SqliteSession session, string path)
    {
        session.RunScript("BEGIN IMMEDIATE;");
        try
        {
            session.RunScript(VersionTable);
            var version = (long)(session.Scalar("SELECT version FROM schema_version WHERE component = ?1", Component) ?? 0L);
            if (version > Migrations.Length)
            {
                throw new DataFileException(
                    path,
                    $"The data file '{path}' was written by a newer release ({Component} version {version}; this release knows {Migrations.Length}). Use that release, or choose another data folder.");
            }

            for (var i = (int)version; i < Migrations.Length; i++)
            {
                session.RunScript(Migrations[i]);
            }

            session.Execute(
                "INSERT INTO schema_version (component, version) VALUES (?1, ?2) ON CONFLICT (component) DO UPDATE SET version = excluded.version",
                Component,
                (long)Migrations.Length);
            session.RunScript("COMMIT;");
        }
        catch
        {
            if (session.InTransaction)
            {
                session.RunScript("ROLLBACK;");
            }

            throw;
        }
    }
}
