using System.Globalization;
using System.Runtime.CompilerServices;
using OrleansInference.Aws;
using OrleansInference.Capacity;
using OrleansInference.Configuration;
using OrleansInference.Hosting;
using OrleansInference.Payloads;
using OrleansInference.Pricing;

namespace OrleansInference.Diagnosis;

/// <summary>
/// Tries all that a server depends on, each by the calls that the server makes, and says what is wrong and how to mend it. It changes nothing that lasts: tables are written
/// under conditions that never hold, one small object is put and deleted again, no message is received, no model is called and no transform job is made.
/// </summary>
public sealed class Doctor : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan Uneasy = TimeSpan.FromSeconds(30);

    // AWS takes signatures within five minutes.
    private static readonly TimeSpan Refused = TimeSpan.FromMinutes(4);
    private readonly ServerSettings _settings;
    private readonly TimeProvider _time;
    private readonly ServiceProvider? _aws;

    /// <summary>Prepares to examine what these settings name.</summary>
    public Doctor(ServerSettings settings, TimeProvider? time = null)
    {
        ArgumentNullException.ThrowIfNull(settings);
        _settings = settings;
        _time = time ?? TimeProvider.System;
        _aws = settings.Aws is { } aws ? new ServiceCollection().AddAwsClients(aws).BuildServiceProvider() : null;
    }

    /// <summary>Examines everything, one after the other.</summary>
    public async IAsyncEnumerable<Finding> ExamineAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        yield return Folder();
        var hasCredentials = true;
        if (_settings.Aws is { } aws)
        {
            yield return await TryAsync("clock", cancel => ClockAsync(aws, cancel), cancellationToken);
            var credentials = await TryAsync("credentials", cancel => CredentialsAsync(aws, cancel), cancellationToken);
            hasCredentials = credentials.State != FindingState.Wrong;
            yield return credentials;
        }

        foreach (var (name, table) in ClusterTables.Of(_settings))
        {
            yield return await TryAsync(
                $"DynamoDB table {name}",
                async cancel =>
                {
                    await table.ExamineAsync(cancel);
                    return Ok("it is there, laid out as it must be, and may be read and written");
                },
                cancellationToken);
        }

        if (_aws is null)
        {
            yield return new("SageMaker, S3, SQS", FindingState.Ok, "embedded in the server");
            yield break;
        }

        if (!hasCredentials)
        {
            yield return new("S3, SQS, SageMaker", FindingState.Wrong, "not tried without credentials", "Mend those first.");
            yield break;
        }

        yield return await TryAsync($"S3 bucket {_settings.PayloadBucket}", BucketAsync, cancellationToken);
        foreach (var queue in Queues().Distinct(StringComparer.Ordinal))
        {
            yield return await TryAsync($"SQS queue {queue}", cancel => QueueAsync(queue, cancel), cancellationToken);
        }

        foreach (var configuration in CatalogPricing.ResolveEndpoints(_settings.Catalog).Where(static configuration => configuration.Endpoint.Lane != Lane.Batch))
        {
            yield return await TryAsync($"SageMaker endpoint {configuration.Endpoint.Name}", cancel => EndpointAsync(configuration.Endpoint, cancel), cancellationToken);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _aws?.Dispose();

    private static Finding Ok(string detail) => new("", FindingState.Ok, detail);

    private static async Task<Finding> TryAsync(string dependency, Func<CancellationToken, Task<Finding>> examine, CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(Patience);
        try
        {
            return await examine(patience.Token) with { Dependency = dependency };
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            var problem = exception is OperationCanceledException ? AwsProblem.Of(new TimeoutException()) : AwsProblem.Of(exception);
            return problem is { } known
                ? new(dependency, FindingState.Wrong, known.Detail, known.Remedy)
                : new(dependency, FindingState.Wrong, $"{exception.GetType().Name}: {exception.Message}", "This is none of the known problems; see the message.");
        }
    }

    private Finding Folder()
    {
        try
        {
            using var folder = DataFolder.Open(_settings.DataFolder);
            var free = new DriveInfo(folder.FullPath).AvailableFreeSpace;
            return free >= 1L << 30
                ? new("data folder", FindingState.Ok, $"{folder.FullPath} may be written")
                : new("data folder", FindingState.Warning, string.Create(CultureInfo.InvariantCulture, $"{folder.FullPath} has {free >> 20} MB left"), "Make room, or choose another data folder: the audit log is kept there.");
        }
        catch (ConfigurationException exception)
        {
            return new("data folder", FindingState.Wrong, exception.Message, "As it says. A server that runs holds its folder; examine it with a copy of its settings and another folder.");
        }
    }

    private async Task<Finding> ClockAsync(AwsOptions aws, CancellationToken cancellationToken)
    {
        const string Remedy = "Set the clock by NTP (chrony, Amazon Time Sync); AWS refuses signatures that are more than five minutes off, and leases and budgets of a cluster need clocks that agree.";
        var (host, ahead) = await ServiceClock.CompareAsync(aws, _time, cancellationToken);
        if (ahead is not { } off)
        {
            return new("", FindingState.Warning, $"{host} does not tell the time", "Check this machine's clock by other means.");
        }

        var detail = string.Create(CultureInfo.InvariantCulture, $"{Math.Abs(off.TotalSeconds):0} s {(off < TimeSpan.Zero ? "behind" : "ahead of")} {host}");
        return off.Duration() > Refused ? new("", FindingState.Wrong, detail, Remedy) : off.Duration() > Uneasy ? new("", FindingState.Warning, detail, Remedy) : Ok(detail);
    }

    private static async Task<Finding> CredentialsAsync(AwsOptions aws, CancellationToken cancellationToken)
    {
        var identity = await CallerIdentity.GetAsync(aws, cancellationToken);
        return Ok(identity.Arn is { } arn ? $"{arn}, in {aws.Region}" : $"access key {identity.AccessKeyId[..Math.Min(4, identity.AccessKeyId.Length)]}…, of which an emulator is not asked whose it is");
    }

    private async Task<Finding> BucketAsync(CancellationToken cancellationToken)
    {
        var store = _aws!.GetRequiredService<IObjectStore>();
        var key = $"doctor/{Guid.NewGuid():N}";
        var body = "tried by doctor"u8.ToArray();
        await store.PutAsync(_settings.PayloadBucket, key, body, "text/plain", cancellationToken);
        var read = await store.GetAsync(_settings.PayloadBucket, key, cancellationToken);
        _ = await store.ListAsync(_settings.PayloadBucket, key, cancellationToken);
        await store.DeleteAsync(_settings.PayloadBucket, key, cancellationToken);
        return read is not null && read.Body.Span.SequenceEqual(body)
            ? Ok("objects may be put, read, listed and deleted")
            : new("", FindingState.Wrong, "an object that was put could not be read back", "Check the bucket's policy, and whether something deletes objects at once.");
    }

    private IEnumerable<string> Queues()
    {
        if (_settings.NotificationQueue is { } notifications)
        {
            yield return notifications;
        }

        foreach (var queue in _settings.Queues)
        {
            foreach (var name in new[] { queue.Queue, queue.DeadLetterQueue, queue.ReplyQueue }.Concat(queue.ReplyQueues))
            {
                if (!string.IsNullOrEmpty(name))
                {
                    yield return name;
                }
            }
        }
    }

    private async Task<Finding> QueueAsync(string queue, CancellationToken cancellationToken) =>
        await QueueExamination.WaitingAsync(_aws!, queue, cancellationToken) is { } waiting
            ? Ok(string.Create(CultureInfo.InvariantCulture, $"it is there, with about {waiting} messages; receiving was not tried"))
            : new("", FindingState.Wrong, "there is no such queue", "Create it (deploy/cloudformation does), or correct its name and Aws:Region in the settings.");

    private async Task<Finding> EndpointAsync(EndpointDefinition endpoint, CancellationToken cancellationToken)
    {
        var found = await _aws!.GetRequiredService<IEndpointControl>().DescribeAsync(endpoint.Name.Value, cancellationToken);
        return found switch
        {
            null => new("", FindingState.Wrong, "there is no such endpoint", "Create it, or correct the catalog: an endpoint's name there is that of SageMaker's."),
            { Status: "InService" } => Ok(string.Create(CultureInfo.InvariantCulture, $"in service, variant {found.VariantName}, {found.CurrentInstanceCount} instances")),
            { Status: "Creating" or "Updating" or "SystemUpdating" } => new("", FindingState.Warning, $"it is {found.Status}", "Wait until it is InService."),
            _ => new("", FindingState.Wrong, $"it is {found.Status}{(found.FailureReason is { Length: > 0 } reason ? $": {reason}" : "")}", "See the endpoint in SageMaker's console, mend the cause, and update or recreate it."),
        };
    }
}
