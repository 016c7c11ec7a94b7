using System.Globalization;
using System.Net;
using OrleansInference.Aws;
using OrleansInference.FrontDoor;
using OrleansInference.Hosting;
using OrleansInference.Keys;
using OrleansInference.Routing;
using OrleansInference.Webhooks;

namespace OrleansInference.Configuration;

/// <summary>Reads a server's settings, and finds everything that is wrong with them at once.</summary>
public static class SettingsReader
{
    private const string DefaultDataFolder = "data";

    /// <summary>The name of every setting.</summary>
    internal static readonly IReadOnlySet<string> Known = new HashSet<string>(
        [
            "Urls", "DataFolder", "Catalog", "Speed", "AdminKey", "MasterKey", "MaxBodyBytes", "MaxBatchBytes", "MaxBatchRecords", "PayloadBucket", "CostTags", "MaxInFlight", "MaxAttempts", "HedgeQuantile", "MaxHedgeShare", "MaxHeldJobs", "LimitChangeSeconds", "JobRetention", "WebhookRetryFor", "WebhookAllow", "InlineWait", "AuditRetentionDays", "AuditMaxBytes",
            "KeyCacheLifetime", "SiloPort", "GatewayPort", "LocalAwsPort", "Seed", "OtlpEndpoint", "ShutdownTimeout", "LogLevel", "NotificationQueue", QueueSettingsReader.Key,
            "Aws:Mode", "Aws:Region", "Aws:UseFips", "Aws:Endpoint", "Aws:RuntimeEndpoint", "Aws:ControlPlaneEndpoint", "Aws:S3Endpoint", "Aws:SqsEndpoint",
            "Aws:AccessKeyId", "Aws:SecretAccessKey", "Aws:SessionToken",
            "Aws:State", "Aws:DynamoDBEndpoint", "Aws:MembershipTable", "Aws:GrainTable", "Aws:ReminderTable", "Aws:CreateTables", "ClusterId", "ServiceId", "AdvertisedAddress", "DataCapture:Percent", "DataCapture:Bucket", "DataCapture:Prefix", "DataCapture:Redact",
        ],
        StringComparer.OrdinalIgnoreCase);

    /// <summary>Reads settings from the server's own appsettings.json, a file, the environment and the command line; later ones win.</summary>
    /// <param name="configFile">File of <c>--config</c>; null if none was given.</param>
    /// <param name="commandLine">Values of the command line by setting, such as <c>Urls</c>.</param>
    /// <param name="isToServe">Whether a server is to be started with them here: then ports and data folder must be free too.</param>
    /// <exception cref="ConfigurationException">Anything is wrong: every problem, each with its file and key.</exception>
    public static ServerSettings Read(string? configFile, IReadOnlyDictionary<string, string?> commandLine, bool isToServe = true)
    {
        ArgumentNullException.ThrowIfNull(commandLine);
        var problems = new List<string>();
        var layers = new SettingsLayers();
        var own = Path.Combine(AppContext.BaseDirectory, "appsettings.json");
        if (File.Exists(own))
        {
            layers.AddFile(own, Known, problems);
        }

        if (string.IsNullOrWhiteSpace(configFile) && configFile is not null)
        {
            problems.Add("command line, --config: the path is empty. Name a settings file, or leave the option out.");
        }
        else if (configFile is not null)
        {
            layers.AddFile(configFile, Known, problems, mustSet: true);
        }

        layers.AddEnvironment(problems);
        layers.AddCommandLine(commandLine);
        var settings = Read(layers, problems);
        Preflight.CheckSettings(settings, problems);
        if (isToServe)
        {
            Preflight.CheckMachine(settings, problems);
        }

        return problems.Count == 0 ? settings : throw new ConfigurationException(problems);
    }

    private static ServerSettings Read(SettingsLayers layers, List<string> problems)
    {
        layers.FindUnknown(Known, problems);
        var values = new SettingValues(layers, problems);
        var defaults = new ServerSettings { DataFolder = "", Catalog = new() };
        var region = values.Text("Aws:Region", IsRegion, "a region has lower-case letters, digits and hyphens, such as eu-central-1") ?? defaults.Region;
        var cluster = Cluster(values);
        var payloadBucket = Bucket(values, "PayloadBucket") ?? defaults.PayloadBucket;
        return new()
        {
            DataFolder = values.Path("DataFolder") ?? Path.GetFullPath(DefaultDataFolder),
            Catalog = Catalog(values, problems),
            Urls = Urls(values, problems) ?? defaults.Urls,
            Speed = values.Number("Speed", 1, 1000, defaults.Speed),
            AdminKey = values.Text("AdminKey", static text => text.Length >= AdminKey.MinLength, $"an admin key has at least {AdminKey.MinLength} characters"),
            MasterKey = values.Text("MasterKey", IsMasterKey, $"a master key is {MasterKey.Length} bytes in base64, such as 'openssl rand -base64 {MasterKey.Length}' prints"),
            MaxBodyBytes = (long)values.Number("MaxBodyBytes", 1, 1 << 30, defaults.MaxBodyBytes),
            MaxBatchBytes = (long)values.Number("MaxBatchBytes", 1, 1 << 30, defaults.MaxBatchBytes),
            MaxBatchRecords = (int)values.Number("MaxBatchRecords", 1, 100_000, defaults.MaxBatchRecords),
            PayloadBucket = payloadBucket,
            CostTags = values.Text("CostTags", static text => CostTag.Parse(text) is not null, $"give tags such as Application=inference;CostCenter=42: at most 49 of them, none twice, none that begins with aws: and not {CostTag.InferenceType}, with letters, digits, spaces and _.:/=+-@") is { } tags ? CostTag.Parse(tags)! : defaults.CostTags,
            MaxInFlight = (int)values.Number("MaxInFlight", 1, 1_000_000, defaults.MaxInFlight),
            MaxAttempts = (int)values.Number("MaxAttempts", 1, 10, defaults.MaxAttempts),
            HedgeQuantile = values.NumberOrZero("HedgeQuantile", Hedging.LeastQuantile, 1, defaults.HedgeQuantile),
            MaxHedgeShare = values.Number("MaxHedgeShare", 0, 1, defaults.MaxHedgeShare),
            MaxHeldJobs = (int)values.Number("MaxHeldJobs", 0, 100_000, defaults.MaxHeldJobs),
            LimitChangeSeconds = values.Number("LimitChangeSeconds", 3, 20, defaults.LimitChangeSeconds),
            JobRetention = values.Span("JobRetention", defaults.JobRetention),
            WebhookRetryFor = values.Span("WebhookRetryFor", defaults.WebhookRetryFor),
            WebhookAllow = values.Text("WebhookAllow", static text => List(text).All(WebhookDestinations.IsEntry), $"entries are separated by semicolons, and {WebhookDestinations.EntryRule}") is { } allowed ? List(allowed) : defaults.WebhookAllow,
            AuditRetentionDays = (int)values.Number("AuditRetentionDays", 1, 36_500, defaults.AuditRetentionDays),
            AuditMaxBytes = (long)values.Number("AuditMaxBytes", 1_000_000, 1e15, defaults.AuditMaxBytes),
            InlineWait = values.Span("InlineWait", defaults.InlineWait),
            KeyCacheLifetime = values.Span("KeyCacheLifetime", defaults.KeyCacheLifetime),
            ShutdownTimeout = values.Span("ShutdownTimeout", defaults.ShutdownTimeout),
            Cluster = cluster,
            DataCapture = DataCapture(values, payloadBucket, problems),
            SiloPort = values.Port("SiloPort", cluster is null ? 0 : StateHosting.SiloPort),
            GatewayPort = values.Port("GatewayPort", cluster is null ? 0 : StateHosting.GatewayPort),
            LocalAwsPort = values.Port("LocalAwsPort"),
            Seed = (int)values.Number("Seed", int.MinValue, int.MaxValue, defaults.Seed),
            OtlpEndpoint = values.Address("OtlpEndpoint"),
            NotificationQueue = values.Text("NotificationQueue", static text => text.Length <= 80, "a queue's name has at most 80 characters") ?? defaults.NotificationQueue,
            Queues = QueueSettingsReader.Read(layers, problems),
            LogLevel = Enum.TryParse<LogLevel>(values.Text("LogLevel", static text => Enum.TryParse<LogLevel>(text, true, out _), "use Trace, Debug, Information, Warning, Error, Critical or None"), true, out var level) ? level : defaults.LogLevel,
            Region = region,
            Aws = Aws(values, region),
        };
    }

    private static AwsOptions? Aws(SettingValues values, string region)
    {
        var mode = values.Text("Aws:Mode", static text => text is "Embedded" or "Amazon", "use Embedded for the AWS inside this server, or Amazon");
        return mode != "Amazon" ? null : new()
        {
            Region = region,
            UseFips = values.Flag("Aws:UseFips"),
            Endpoint = values.Address("Aws:Endpoint"),
            RuntimeEndpoint = values.Address("Aws:RuntimeEndpoint"),
            ControlPlaneEndpoint = values.Address("Aws:ControlPlaneEndpoint"),
            S3Endpoint = values.Address("Aws:S3Endpoint"),
            SqsEndpoint = values.Address("Aws:SqsEndpoint"),
            AccessKeyId = values.Text("Aws:AccessKeyId", static _ => true, ""),
            SecretAccessKey = values.Text("Aws:SecretAccessKey", static _ => true, ""),
            SessionToken = values.Text("Aws:SessionToken", static _ => true, ""),
        };
    }

    private static DataCaptureOptions? DataCapture(SettingValues values, string payloadBucket, List<string> problems)
    {
        var paths = values.Find("DataCapture:Redact") is { } redact ? List(redact.Text) : [];
        foreach (var path in paths)
        {
            if (JsonPath.Parse(path, out var problem) is null)
            {
                problems.Add($"{values.Find("DataCapture:Redact")!.Value.Source}: '{path}' is no path of JSON: {problem}.");
            }
        }

        var percent = values.Number("DataCapture:Percent", 0, 100, 0);
        var options = new DataCaptureOptions { Percent = percent, Bucket = Bucket(values, "DataCapture:Bucket") ?? payloadBucket, Redact = paths };
        options.Prefix = values.Text("DataCapture:Prefix", static text => text.Length <= 500 && text.Trim('/').Length > 0, "a key prefix has 1 to 500 characters") ?? options.Prefix;
        return percent > 0 ? options : null;
    }

    private static ClusterSettings? Cluster(SettingValues values)
    {
        var defaults = new ClusterSettings();
        var settings = new ClusterSettings
        {
            ClusterId = values.Text("ClusterId", IsId, "an id has 1 to 150 letters, digits, hyphens, underscores and dots") ?? defaults.ClusterId,
            ServiceId = values.Text("ServiceId", IsId, "an id has 1 to 150 letters, digits, hyphens, underscores and dots") ?? defaults.ServiceId,
            AdvertisedAddress = values.Text("AdvertisedAddress", static text => IPAddress.TryParse(text, out _), "give the IP address at which other silos reach this one, such as 10.0.1.17") is { } address ? IPAddress.Parse(address) : null,
            Endpoint = values.Address("Aws:DynamoDBEndpoint"),
            MembershipTable = Table("Aws:MembershipTable") ?? defaults.MembershipTable,
            GrainTable = Table("Aws:GrainTable") ?? defaults.GrainTable,
            ReminderTable = Table("Aws:ReminderTable") ?? defaults.ReminderTable,
            CreateTables = values.Flag("Aws:CreateTables"),
        };
        return values.Text("Aws:State", static text => text is "Local" or "DynamoDB", "use Local for the data folder of this server alone, or DynamoDB for a cluster") == "DynamoDB" ? settings : null;

        string? Table(string key) => values.Text(key, static text => text.Length is >= 3 and <= 255 && text.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'), "a table's name has 3 to 255 letters, digits, hyphens, underscores and dots");
    }

    private static CatalogDefinition Catalog(SettingValues values, List<string> problems) =>
        CatalogFile.Read(values.Path("Catalog") ?? Path.Combine(AppContext.BaseDirectory, "catalog.json"), problems) ?? new();

    private static string[]? Urls(SettingValues values, List<string> problems)
    {
        if (values.Find("Urls") is not { } found)
        {
            return null;
        }

        var urls = List(found.Text);
        foreach (var url in urls)
        {
            if (!Uri.TryCreate(url.Replace("//*", "//0.0.0.0", StringComparison.Ordinal).Replace("//+", "//0.0.0.0", StringComparison.Ordinal), UriKind.Absolute, out var address)
                || address.Scheme != Uri.UriSchemeHttp || address.PathAndQuery != "/")
            {
                problems.Add($"{found.Source}: '{url}' is not an address such as http://127.0.0.1:8080. Only http is served: let a proxy in front speak TLS.");
            }
        }

        return urls;
    }

    private static string[] List(string text) => text.Split(';', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);

    private static bool IsMasterKey(string text)
    {
        Span<byte> key = stackalloc byte[MasterKey.Length + 1];
        return Convert.TryFromBase64String(text, key, out var length) && length == MasterKey.Length;
    }

    private static bool IsRegion(string text) => text.Length is >= 3 and <= 32 && char.IsAsciiLetterLower(text[0]) && text.All(static c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-');

    private static bool IsId(string text) => text.Length <= 150 && text.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');

    private static string? Bucket(SettingValues values, string key) => values.Text(key, IsBucket, "a bucket's name has 3 to 63 lower-case letters, digits, hyphens and dots");

    private static bool IsBucket(string text) => text.Length is >= 3 and <= 63 && text.All(static c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '.');
}

/// <summary>Parses single settings; what does not parse becomes a problem and takes its default.</summary>
internal sealed class SettingValues(SettingsLayers layers, List<string> problems)
{
    public SettingsLayers.Found? Find(string key) => layers.Find(key);

    public string? Text(string key, Func<string, bool> isValid, string rule)
    {
        if (Find(key) is not { } found)
        {
            return null;
        }

        if (isValid(found.Text))
        {
            return found.Text;
        }

        // The value itself may be a secret.
        problems.Add($"{found.Source}: the value is not usable; {rule}.");
        return null;
    }

    /// <summary>Whether it is true; false if it is not given.</summary>
    public bool Flag(string key) => Text(key, static text => bool.TryParse(text, out _), "use true or false") is { } text && bool.Parse(text);

    public string? Path(string key) => Find(key) is { } found ? System.IO.Path.GetFullPath(found.Text, found.Folder) : null;

    public double Number(string key, double least, double most, double otherwise)
    {
        if (Find(key) is not { } found)
        {
            return otherwise;
        }

        if (double.TryParse(found.Text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && value >= least && value <= most)
        {
            return value;
        }

        problems.Add(string.Create(CultureInfo.InvariantCulture, $"{found.Source}: '{found.Text}' is not a number from {least} to {most}."));
        return otherwise;
    }

    public double NumberOrZero(string key, double least, double most, double otherwise) =>
        Find(key) is { } found && double.TryParse(found.Text, NumberStyles.Float, CultureInfo.InvariantCulture, out var value) && value == 0 ? 0 : Number(key, least, most, otherwise);

    public int Port(string key, int otherwise = 0) => (int)Number(key, 0, 65_535, otherwise);

    public TimeSpan Span(string key, TimeSpan otherwise)
    {
        if (Find(key) is not { } found)
        {
            return otherwise;
        }

        if (DurationText.TryParse(found.Text, out var span))
        {
            return span;
        }

        problems.Add($"{found.Source}: '{found.Text}' is not a span of time: {DurationText.Description}.");
        return otherwise;
    }

    public Uri? Address(string key)
    {
        if (Find(key) is not { } found)
        {
            return null;
        }

        if (Uri.TryCreate(found.Text, UriKind.Absolute, out var address) && (address.Scheme is "http" or "https"))
        {
            return address;
        }

        problems.Add($"{found.Source}: '{found.Text}' is not an absolute http or https address.");
        return null;
    }
}
