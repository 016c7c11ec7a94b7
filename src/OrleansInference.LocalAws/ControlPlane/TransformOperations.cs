using System.Text.Json;
using OrleansInference.LocalAws.Models;
using OrleansInference.LocalAws.Objects;
using OrleansInference.LocalAws.Transform;
using OrleansInference.LocalAws.Wire;

namespace OrleansInference.LocalAws.ControlPlane;

/// <summary>DescribeModel, CreateTransformJob, DescribeTransformJob and StopTransformJob.</summary>
internal sealed class TransformOperations(TransformJobs jobs, SimulatedModels models, LocalAwsOptions options)
{
    public object DescribeModel(JsonElement input)
    {
        var name = Required(input, "ModelName");
        RequireModel(name);
        return new Dictionary<string, object> { ["ModelName"] = name, ["ModelArn"] = ModelArn(name) };
    }

    public object Create(JsonElement input)
    {
        var spec = Read(input);
        RequireModel(spec.Model);

        return jobs.Create(spec)
            ? new Dictionary<string, object> { ["TransformJobArn"] = Arn(spec.Name) }
            : throw new AwsFault(400, "ResourceInUse", $"Job name must be unique within an AWS account and region, and a transform job with this name already exists ({Arn(spec.Name)})");
    }

    public object Describe(JsonElement input)
    {
        var job = Find(input);
        var spec = job.Spec;
        var answer = new Dictionary<string, object>
        {
            ["TransformJobName"] = spec.Name,
            ["TransformJobArn"] = Arn(spec.Name),
            ["TransformJobStatus"] = job.Status,
            ["ModelName"] = spec.Model,
            ["MaxConcurrentTransforms"] = spec.MaxConcurrentTransforms,
            ["MaxPayloadInMB"] = spec.MaxPayloadBytes >> 20,
            ["BatchStrategy"] = spec.MultiRecord ? "MultiRecord" : "SingleRecord",
            ["ModelClientConfig"] = new Dictionary<string, object> { ["InvocationsTimeoutInSeconds"] = spec.TimeoutSeconds, ["InvocationsMaxRetries"] = spec.MaxRetries },
            ["TransformInput"] = new Dictionary<string, object>
            {
                ["DataSource"] = new { S3DataSource = new { S3DataType = "S3Prefix", S3Uri = spec.Input.ToString() } },
                ["ContentType"] = spec.ContentType ?? "",
                ["SplitType"] = spec.SplitLines ? "Line" : "None",
                ["CompressionType"] = "None",
            },
            ["TransformOutput"] = new Dictionary<string, object>
            {
                ["S3OutputPath"] = spec.Output.ToString(),
                ["Accept"] = spec.Accept ?? "",
                ["AssembleWith"] = spec.AssembleLines ? "Line" : "None",
            },
            ["TransformResources"] = new { spec.InstanceType, spec.InstanceCount },
            ["CreationTime"] = JsonWire.Seconds(job.Created),
        };
        if (job.Started is { } started)
        {
            answer["TransformStartTime"] = JsonWire.Seconds(started);
        }

        if (job.Ended is { } ended)
        {
            answer["TransformEndTime"] = JsonWire.Seconds(ended);
        }

        if (job.Failure is not null)
        {
            answer["FailureReason"] = job.Failure;
        }

        return answer;
    }

    public object Stop(JsonElement input)
    {
        var job = Find(input);
        return jobs.Stop(job.Spec.Name)
            ? new Dictionary<string, object>()
            : throw Invalid($"The request was rejected because the transform job is in status {job.Status}.");
    }

    private void RequireModel(string name)
    {
        if (models.FindModel(name) is null)
        {
            throw Invalid($"Could not find model \"{ModelArn(name)}\".");
        }
    }

    private string ModelArn(string name) => $"arn:aws:sagemaker:{options.Region}:{LocalAwsOptions.AccountId}:model/{name}";

    private static TransformJobSpec Read(JsonElement input)
    {
        var name = Required(input, "TransformJobName");
        if (!NameRule.IsValid(name))
        {
            throw Invalid($"TransformJobName '{name}' must be {NameRule.Description}.");
        }

        var source = Part(input, "TransformInput");
        var output = Part(input, "TransformOutput");
        var resources = Part(input, "TransformResources");
        var data = Part(Part(source, "DataSource"), "S3DataSource");
        OneOf(data, "S3DataType", "S3Prefix");
        OneOf(source, "CompressionType", "None");
        var client = input.Object("ModelClientConfig");
        return new()
        {
            Name = name,
            Model = Required(input, "ModelName"),
            Input = Location(data, "S3Uri"),
            Output = Location(output, "S3OutputPath"),
            ContentType = source.Text("ContentType"),
            SplitLines = OneOf(source, "SplitType", "None", "Line") == "Line",
            MultiRecord = OneOf(input, "BatchStrategy", "MultiRecord", "SingleRecord") == "MultiRecord",
            Accept = output.Text("Accept"),
            AssembleLines = OneOf(output, "AssembleWith", "None", "Line") == "Line",
            InstanceType = Required(resources, "InstanceType"),
            InstanceCount = Range(resources, "InstanceCount", 1, 100) ?? throw Invalid("InstanceCount is required."),
            MaxConcurrentTransforms = Math.Max(1, Range(input, "MaxConcurrentTransforms", 0, 1000) ?? 1),
            MaxPayloadBytes = (long)(Range(input, "MaxPayloadInMB", 0, 100) is { } megabytes and > 0 ? megabytes : 6) << 20,
            TimeoutSeconds = client is { } timeout ? Range(timeout, "InvocationsTimeoutInSeconds", 1, 3600) ?? 600 : 600,
            MaxRetries = client is { } retries ? Range(retries, "InvocationsMaxRetries", 0, 3) ?? 3 : 3,
            Tags = input.List("Tags").ToDictionary(t => Required(t, "Key"), t => t.Text("Value") ?? "", StringComparer.Ordinal),
        };
    }

    private static JsonElement Part(JsonElement input, string name) => input.Object(name) ?? throw Invalid($"{name} is required.");

    private static string Required(JsonElement input, string name) => input.Text(name) is { Length: > 0 } text ? text : throw Invalid($"{name} is required.");

    private static S3Location Location(JsonElement input, string name) => S3Location.TryParse(Required(input, name), out var location)
        ? location
        : throw Invalid($"{name} must be an s3:// address.");

    private static string OneOf(JsonElement input, string name, params ReadOnlySpan<string> values)
    {
        var value = input.Text(name) ?? values[0];
        return values.Contains(value) ? value : throw Invalid($"{name} '{value}' is not supported by the embedded AWS: use {string.Join(" or ", values!)}.");
    }

    private static int? Range(JsonElement input, string name, int least, int most) => input.Integer(name) switch
    {
        null => null,
        { } value when value >= least && value <= most => value,
        { } value => throw Invalid($"{name} {value} is outside {least}..{most}."),
    };

    private static AwsFault Invalid(string message) => new(400, "ValidationException", message);

    private TransformJob Find(JsonElement input)
    {
        var name = Required(input, "TransformJobName");
        return jobs.Find(name) ?? throw new AwsFault(400, "ResourceNotFound", $"Could not find requested job with name: {name}");
    }

    private string Arn(string name) => $"arn:aws:sagemaker:{options.Region}:{LocalAwsOptions.AccountId}:transform-job/{name}";
}
