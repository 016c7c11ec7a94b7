using Microsoft.Extensions.Options;

namespace OrleansInference.Sqlite;

/// <summary>Options of <see cref="SqliteReminderTable"/>.</summary>
public sealed class SqliteReminderOptions
{
    /// <summary>Path of the data file; it and its folder are created if they do not exist. May be the file of the grain storage.</summary>
    public string FilePath { get; set; } = "";
}

internal sealed class SqliteReminderOptionsValidator(IOptions<SqliteReminderOptions> options) : IConfigurationValidator
{
    public void ValidateConfiguration() => DataFilePath.Validate(options.Value.FilePath, "SQLite reminders", nameof(SqliteReminderOptions.FilePath));
}
