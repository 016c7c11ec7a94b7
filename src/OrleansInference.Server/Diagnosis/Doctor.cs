using System.Globalization;
using System.Runtime.CompilerServices;
using OrleansInference.Aws;
using OrleansInference.Aws.ControlPlane;
using OrleansInference.Capacity;
using OrleansInference.Configuration;
using OrleansInference.Hosting;
using OrleansInference.Payloads;
using OrleansInference.Pricing;

namespace OrleansInference.Diagnosis;

/// <summary>
/// Tries all that a server depends on, each by the calls that the server makes, and says what is wrong and how to mend it. It changes nothing that lasts: nothing that is missing is
/// created, tables are written under conditions that never hold, one small object is put and deleted again, no message is received, no model is called unless that is asked for, and no
/// transform job is made: what a server may do with endpoints and jobs is tried by calls that are refused once they were found permitted.
/// </summary>
public sealed class Doctor : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    // A model has a minute for its answer.
    private static readonly TimeSpan CallPatience = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan Uneasy = TimeSpan.FromSeconds(30);

    // An answer's date is of whole seconds, and may be made once a second.
    private static readonly TimeSpan Untold = TimeSpan.FromSeconds(3);

    // AWS takes signatures within five minutes.
    private static readonly TimeSpan Refused = TimeSpan.FromMinutes(4);
    private readonly ServerSettings _settings;
    private readonly TimeProvider _time;
    private readonly bool _invoke;
    private readonly ServiceProvider? _aws;

    /// <summary>Prepares to examine what these settings name.</summary>
    /// <param name="settings">The settings.</param>
    /// <param name="time">This machine's clock; null: the system's.</param>
    /// <param name="invoke">Whether one real call of each endpoint is made.</param>
    public Doctor(ServerSettings settings, TimeProvider? time = null, bool invoke = false)
    {
        ArgumentNullException.ThrowIfNull(settings);
        _invoke = invoke;
        _settings = settings;
        _time = time ?? TimeProvider.System;
        _aws = settings.Aws is { } aws ? new ServiceCollection().AddAwsClients(aws).BuildServiceProvider() : null;
    }

    /// <summary>Examines everything, one after the other.</summary>
    public async IAsyncEnumerable<Finding> ExamineAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        var folder = Folder();
        yield return folder;
        var hasState = _settings.Cluster is null && folder.State != FindingState.Wrong;
        var hasCredentials = true;
        if (_settings.Aws is { } aws)
        {
            yield return await TryAsync("clock", cancel => ClockAsync(aws, cancel), cancellationToken, at: At(nameof(aws.ControlPlaneEndpoint), aws.ControlPlaneEndpoint));
            var credentials = await TryAsync("credentials", cancel => CredentialsAsync(aws, cancel), cancellationToken);
            hasCredentials = credentials.State != FindingState.Wrong;
            yield return credentials;
        }

        foreach (var (name, table) in ClusterTables.Of(_settings))
        {
            var found = await TryAsync(
                $"DynamoDB table {name}",
                async cancel => await table.ExamineAsync(cancel)
                    ? Ok("it is there, laid out as it must be, and may be read and written")
                    : new("", FindingState.Warning, "there is no such table; a server that starts creates it, if it may (dynamodb:CreateTable)", "Nothing, or create it (deploy/cloudformation does)."),
                cancellationToken,
                at: _settings.Cluster!.Endpoint is { } tables ? $"{tables}, Aws:DynamoDBEndpoint" : null);
            yield return found;
            hasState |= name == _settings.Cluster.GrainTable && found.State == FindingState.Ok;
        }

        // What keeps the state from being read was said of where it is.
        if (hasState)
        {
            yield return await TryAsync("master key", cancel => MasterKeyExamination.ExamineAsync(_settings, cancel), cancellationToken);
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

        var objects = At(nameof(AwsOptions.S3Endpoint), _settings.Aws!.S3Endpoint);
        var queues = At(nameof(AwsOptions.SqsEndpoint), _settings.Aws.SqsEndpoint);
        var control = At(nameof(AwsOptions.ControlPlaneEndpoint), _settings.Aws.ControlPlaneEndpoint);
        var ofEndpoints = string.Join(" and ", new[] { control, At(nameof(AwsOptions.RuntimeEndpoint), _settings.Aws.RuntimeEndpoint) }.OfType<string>().Distinct(StringComparer.Ordinal));
        yield return await TryAsync($"S3 bucket {_settings.PayloadBucket}", BucketAsync, cancellationToken, at: objects);
        if (_settings.DataCapture is { } capture && capture.Bucket != _settings.PayloadBucket)
        {
            yield return await TryAsync($"S3 bucket {capture.Bucket} of the data capture", cancel => CaptureBucketAsync(capture, cancel), cancellationToken, at: objects);
        }

        foreach (var queue in Queues().GroupBy(static queue => queue.Name, StringComparer.Ordinal))
        {
            yield return await TryAsync($"SQS queue {queue.Key}", cancel => QueueAsync(queue.Key, queue.Any(static use => use.IsReceivedFrom), cancel), cancellationToken, at: queues);
        }

        var endpoints = CatalogPricing.ResolveEndpoints(_settings.Catalog).Select(configuration => WithModel(configuration.Endpoint)).ToList();
        foreach (var endpoint in endpoints.Where(static endpoint => endpoint.Lane != Lane.Batch).DistinctBy(static endpoint => endpoint.TargetName))
        {
            yield return await TryAsync($"SageMaker endpoint {endpoint.TargetName}", cancel => EndpointAsync(endpoint, cancel), cancellationToken, _invoke ? CallPatience : Patience, ofEndpoints.Length > 0 ? ofEndpoints : null);
        }

        var batch = endpoints.Where(static endpoint => endpoint.Lane == Lane.Batch).DistinctBy(static endpoint => endpoint.TargetName).ToList();
        foreach (var endpoint in batch)
        {
            yield return await TryAsync($"SageMaker model {endpoint.TargetName}", cancel => ModelAsync(endpoint, cancel), cancellationToken, at: control);
        }

        if (batch.Count > 0)
        {
            yield return await TryAsync("SageMaker transform jobs", cancel => TransformAsync(batch[0], cancel), cancellationToken, at: control);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _aws?.Dispose();

    /// <summary>How far a clock is off, in words, as far as the date of an answer can tell.</summary>
    internal static string Difference(TimeSpan ahead, string host) => ahead.Duration() < Untold
        ? $"as that of {host}, as near as its answers tell"
        : string.Create(CultureInfo.InvariantCulture, $"{Math.Abs(ahead.TotalSeconds):0} s {(ahead < TimeSpan.Zero ? "behind" : "ahead of")} {host}");

    private static Finding Ok(string detail) => new("", FindingState.Ok, detail);

    private static async Task<Finding> TryAsync(string dependency, Func<CancellationToken, Task<Finding>> examine, CancellationToken cancellationToken, TimeSpan? longest = null, string? at = null)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(longest ?? Patience);
        try
        {
            return await examine(patience.Token) with { Dependency = dependency };
        }
        catch (Exception exception) when (!cancellationToken.IsCancellationRequested)
        {
            var problem = exception is OperationCanceledException ? AwsProblem.Of(new TimeoutException()) : AwsProblem.Of(exception);
            return problem is { } known
                ? new(dependency, FindingState.Wrong, at is null ? known.Detail : $"{known.Detail} (asked at {at})", known.Remedy)
                : new(dependency, FindingState.Wrong, $"{exception.GetType().Name}: {exception.Message}", "This is none of the known problems; see the message.");
        }
    }

    // Where the settings say that a service is; null: where the region has it.
    private string? At(string name, Uri? own) => own is not null ? $"{own}, Aws:{name}" : _settings.Aws?.Endpoint is { } all ? $"{all}, Aws:{nameof(AwsOptions.Endpoint)}" : null;

    private Finding Folder()
    {
        try
        {
            var (full, existing) = DataFolder.Examine(_settings.DataFolder);
            var free = new DriveInfo(existing).AvailableFreeSpace;
            return free < 1L << 30
                ? new("data folder", FindingState.Warning, string.Create(CultureInfo.InvariantCulture, $"{existing} has {free >> 20} MB left"), "Make room, or choose another data folder: the audit log is kept there.")
                : new("data folder", FindingState.Ok, full == existing ? $"{full} may be written" : $"{full} does not exist yet; a server that starts creates it");
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

        var detail = Difference(off, host);
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
        try
        {
            await store.PutAsync(_settings.PayloadBucket, key, body, "text/plain", cancellationToken);
        }
        catch (Amazon.Runtime.AmazonServiceException exception) when (exception.ErrorCode == "NoSuchBucket")
        {
            return new("", FindingState.Warning, "there is no such bucket; a server creates it for its first job, if it may (s3:CreateBucket)", "Nothing, or create it (deploy/cloudformation does), or correct PayloadBucket.");
        }

        var read = await store.GetAsync(_settings.PayloadBucket, key, cancellationToken);
        _ = await store.ListAsync(_settings.PayloadBucket, key, cancellationToken);
        await store.DeleteAsync(_settings.PayloadBucket, key, cancellationToken);
        return read is not null && read.Body.Span.SequenceEqual(body)
            ? Ok("objects may be put, read, listed and deleted")
            : new("", FindingState.Wrong, "an object that was put could not be read back", "Check the bucket's policy, and whether something deletes objects at once.");
    }

    // A server puts objects there, and need not be permitted more.
    private async Task<Finding> CaptureBucketAsync(DataCaptureOptions capture, CancellationToken cancellationToken)
    {
        var store = _aws!.GetRequiredService<IObjectStore>();
        var key = $"{capture.Prefix.Trim('/')}/doctor/{Guid.NewGuid():N}";
        await store.PutAsync(capture.Bucket, key, "tried by doctor"u8.ToArray(), "text/plain", cancellationToken);
        try
        {
            await store.DeleteAsync(capture.Bucket, key, cancellationToken);
            return Ok("objects may be put");
        }
        catch (Amazon.Runtime.AmazonServiceException exception)
        {
            return new("", FindingState.Warning, $"objects may be put, but the one that was tried stays there as {key}: {exception.Message}", "Delete it by hand; a server deletes nothing there.");
        }
    }

    private IEnumerable<(string Name, bool IsReceivedFrom)> Queues()
    {
        if (_settings.NotificationQueue is { } notifications)
        {
            yield return (notifications, true);
        }

        foreach (var queue in _settings.Queues)
        {
            yield return (queue.Queue, true);
            foreach (var name in new[] { queue.DeadLetterQueue, queue.ReplyQueue }.Concat(queue.ReplyQueues))
            {
                if (!string.IsNullOrEmpty(name))
                {
                    yield return (name, false);
                }
            }
        }
    }

    private async Task<Finding> QueueAsync(string queue, bool isReceivedFrom, CancellationToken cancellationToken)
    {
        if (await QueueExamination.WaitingAsync(_aws!, queue, cancellationToken) is not { } waiting)
        {
            return queue == _settings.NotificationQueue
                ? new("", FindingState.Warning, "there is no such queue; a server creates it, if it may (sqs:CreateQueue)", "Nothing, or create it (deploy/cloudformation does), or correct NotificationQueue.")
                : new("", FindingState.Wrong, "there is no such queue", "Create it (deploy/cloudformation does), or correct its name and Aws:Region in the settings.");
        }

        if (isReceivedFrom)
        {
            await QueueExamination.TryReceiverAsync(_aws!, queue, cancellationToken);
        }

        return Ok(string.Create(CultureInfo.InvariantCulture, $"it is there, with about {waiting} messages; {(isReceivedFrom ? "they may be deleted and kept hidden, receiving" : "sending")} was not tried"));
    }

    // A shared endpoint is called for one of its models.
    private EndpointDefinition WithModel(EndpointDefinition endpoint) => endpoint with
    {
        TargetModel = endpoint.TargetModel ?? _settings.Catalog.Models.SelectMany(static model => model.Variants).SelectMany(static variant => variant.Endpoints).FirstOrDefault(user => user.Shared == endpoint.Name)?.TargetModel,
    };

    private async Task<Finding> EndpointAsync(EndpointDefinition endpoint, CancellationToken cancellationToken)
    {
        var found = await _aws!.GetRequiredService<IEndpointControl>().DescribeAsync(endpoint.TargetName, cancellationToken);
        switch (found)
        {
            case null:
                return new("", FindingState.Wrong, "there is no such endpoint", "Create it, or correct the catalog: the target of an endpoint there, or its name if it has none, is that of SageMaker's.");
            case { Status: "InService" or "Updating" or "SystemUpdating" }:
                break;
            case { Status: "Creating" }:
                return new("", FindingState.Warning, $"it is {found.Status}", "Wait until it is InService.");
            default:
                return new("", FindingState.Wrong, $"it is {found.Status}{(found.FailureReason is { Length: > 0 } reason ? $": {reason}" : "")}", "See the endpoint in SageMaker's console, mend the cause, and update or recreate it.");
        }

        var rights = new List<string>();
        if (endpoint.Lane != Lane.Async)
        {
            await EndpointRights.TryInvokeAsync(_aws!, endpoint, cancellationToken);
            rights.Add("may be invoked");
        }
        else if (!_invoke)
        {
            rights.Add("whether it may be invoked was not tried, since what is sent to it is queued (doctor --invoke tries it)");
        }

        if (endpoint.Scaling == ScalingMode.Managed && (endpoint.Lane != Lane.Serverless || endpoint.IsProvisioned))
        {
            await EndpointRights.TryScaleAsync(_aws!, endpoint, found, cancellationToken);
            rights.Add("may be scaled");
        }

        if (_invoke)
        {
            rights.Add(await EndpointRights.InvokeAsync(_aws!, endpoint, _settings.PayloadBucket, cancellationToken));
        }

        var state = string.Create(CultureInfo.InvariantCulture, $"variant {found.VariantName}, {found.CurrentInstanceCount} instances, {string.Join(", ", rights)}");
        return found.Status == "InService" ? Ok($"in service, {state}") : new("", FindingState.Warning, $"it is {found.Status}, {state}", "Wait until it is InService.");
    }

    private async Task<Finding> ModelAsync(EndpointDefinition endpoint, CancellationToken cancellationToken)
    {
        try
        {
            return await ModelLookup.ExistsAsync(_aws!, endpoint.TargetName, cancellationToken)
                ? Ok("it is there")
                : new("", FindingState.Wrong, "there is no such model", "Create it, or correct the catalog: the target of a batch endpoint there, or its name if it has none, is the name of a model of SageMaker's.");
        }
        catch (SageMakerException exception) when (exception.ErrorType.Contains("AccessDenied", StringComparison.Ordinal))
        {
            return Ok("whether it exists was not looked at: that takes sagemaker:DescribeModel, which a server does not need");
        }
    }

    private async Task<Finding> TransformAsync(EndpointDefinition endpoint, CancellationToken cancellationToken)
    {
        await EndpointRights.TryTransformAsync(_aws!, endpoint, _settings, cancellationToken);
        return Ok("they may be created with tags, looked at and stopped");
    }
}
