using System.Net;
using System.Net.Sockets;
using Amazon.Runtime;
using OrleansInference.Aws.ControlPlane;
using OrleansInference.DynamoDB;
using OrleansInference.Ingest;
using OrleansInference.Invocation;

namespace OrleansInference.Diagnosis;

/// <summary>What a failed call of AWS means for who runs the server, in one line, and how to mend it.</summary>
/// <param name="Detail">What is wrong.</param>
/// <param name="Remedy">What to do.</param>
/// <param name="Passes">Whether it may pass by itself.</param>
/// <param name="IsShared">Whether AWS itself answered so, for a reason that every server would be told alike: not because of one machine's network, clock or credentials.</param>
internal readonly record struct AwsProblem(string Detail, string Remedy, bool Passes = false, bool IsShared = false)
{
    private const string MissingRemedy = "Create it (deploy/cloudformation does), or correct its name and Aws:Region in the settings.";

    /// <summary>Reads an exception of any client of AWS; null if it is none of theirs.</summary>
    /// <param name="exception">The exception.</param>
    /// <param name="isOfAws">Whether it is known that AWS was called; else a connection or a wait that failed is AWS' only within what a client of AWS threw.</param>
    public static AwsProblem? Of(Exception exception, bool isOfAws = true)
    {
        for (var cause = exception; cause is not null; cause = cause.InnerException)
        {
            isOfAws |= cause is AmazonClientException or SageMakerException or ModelCallException or TableException;
            switch (cause)
            {
                case AmazonServiceException { ErrorCode: "UnknownOperationException" } unknown when FailedOperation.Of(unknown) is { } operation:
                    return new(
                        $"what answers has no operation {operation}, and so is no whole DynamoDB",
                        "If Aws:DynamoDBEndpoint is a dynalite, put local-aws --dynalite before it (docs/operating.md, 'A cluster on one machine'); else correct it, or leave it out for the region's DynamoDB.");
                case AmazonServiceException service:
                    // One that came from another silo has its type, its message and what was noted; one that a silo of an earlier release sent has nothing noted.
                    return OfCode(RefusalData.CodeOf(service) ?? service.GetType().Name, (HttpStatusCode)RefusalData.StatusOf(service), service.Message);
                case SageMakerException { Status: { } status } refused:
                    return OfCode(refused.ErrorType, (HttpStatusCode)status, refused.Message);
                case ModelCallException { Failure: ModelCallFailure.Configuration, ErrorType: "ValidationError" or "ValidationException" } missing:
                    return OfCode("ResourceNotFoundException", HttpStatusCode.NotFound, missing.Message);
                case ModelCallException { Failure: ModelCallFailure.Throttled } throttled:
                    return new(
                        $"it is throttled: {Line(throttled.Message)}",
                        "See whether concurrencyPerInstance in the catalog is more than the endpoint takes, raise maxInstances, or ask for a higher quota.",
                        Passes: true);
                case ModelCallException { Status: { } status } refused:
                    return OfCode(refused.ErrorType ?? "", (HttpStatusCode)status, refused.Message);
                case ModelCallException { InnerException: null } other:
                    return new(Line(other.Message), "See SageMaker's message.", Passes: other.Failure == ModelCallFailure.Unavailable);
                case MissingQueueException missing:
                    return new(Line(missing.Message), MissingRemedy);
                case TableException table:
                    return new(Line(table.Message), "If another is meant, correct its name and Aws:Region in the settings.");
                case SageMakerException { InnerException: null } other:
                    return new(Line(other.Message), "See SageMaker's message.");
                case AmazonClientException client when client.InnerException is null or AmazonClientException:
                    return new(
                        $"there are no usable credentials: {Line(client.Message).Split(". ")[0].TrimEnd('.')}",
                        "Give the task or pod a role, name a profile (AWS_PROFILE), or set Aws:AccessKeyId and Aws:SecretAccessKey.");
                case HttpRequestException or SocketException when isOfAws:
                    return new(
                        $"it cannot be reached: {Line(cause.Message)}",
                        "Check Aws:Region and the addresses in the settings, and that the network lets this machine out (routes, security groups, VPC endpoints).",
                        Passes: true);
                case TaskCanceledException or TimeoutException when isOfAws:
                    return new($"it did not answer in time: {Line(cause.Message)}", "Check the network, and whether a VPC endpoint or a proxy is in the way.", Passes: true);
                case IOException or FormatException when isOfAws:
                    return new($"its answer broke off: {Line(cause.Message)}", "Check the network, and whether the model's container ends in the middle of an answer.", Passes: true);
                default:
                    break;
            }
        }

        return null;
    }

    private static AwsProblem OfCode(string code, HttpStatusCode status, string message)
    {
        var (text, answered) = (Line(message), status != 0);
        if (code is "RequestTimeTooSkewed" or "RequestInTheFuture" || text.Contains("Signature expired", StringComparison.OrdinalIgnoreCase) || text.Contains("Signature not yet current", StringComparison.OrdinalIgnoreCase))
        {
            return new($"this machine's clock is off: {text}", "Set the clock by NTP (chrony, Amazon Time Sync); AWS refuses signatures that are more than five minutes off.");
        }

        if (code is "ExpiredToken" or "ExpiredTokenException" or "TokenRefreshRequired" || text.Contains("token included in the request is expired", StringComparison.OrdinalIgnoreCase))
        {
            return new($"the credentials have expired: {text}", "Renew them (aws sso login, assume the role anew), or let the machine's role give them.", Passes: true);
        }

        if (code.Contains("AccessDenied", StringComparison.OrdinalIgnoreCase) || code is "AuthorizationError" or "UnauthorizedOperation" or "AllAccessDisabled" || (code.Length == 0 && status == HttpStatusCode.Forbidden))
        {
            return new($"it is not permitted: {text}", "Add the action to the policy of the server's role; deploy/cloudformation has one with all that is needed.", IsShared: answered);
        }

        if (code is "UnrecognizedClientException" or "InvalidClientTokenId" or "InvalidAccessKeyId" or "SignatureDoesNotMatch" or "InvalidSignatureException" or "IncompleteSignature" or "MissingAuthenticationToken" or "InvalidToken")
        {
            return new($"AWS does not take the credentials: {text}", "Check the access key, its secret and session token, and that they belong to this partition (aws, aws-cn, aws-us-gov).");
        }

        if (code is "PermanentRedirect" or "AuthorizationHeaderMalformed" or "IllegalLocationConstraintException" or "MovedPermanently" || status == HttpStatusCode.MovedPermanently)
        {
            return new($"it is in another region: {text}", "Set Aws:Region to the region that it is in.");
        }

        if (code.Contains("Throttl", StringComparison.OrdinalIgnoreCase) || code is "ProvisionedThroughputExceededException" or "RequestLimitExceeded" or "SlowDown" or "TooManyRequestsException")
        {
            return new($"it is throttled: {text}", "Raise the table's throughput, or set it to on-demand billing; ask for a higher quota if it is the account's.", Passes: true, IsShared: answered);
        }

        return code is "ResourceNotFoundException" or "NoSuchBucket" or "QueueDoesNotExist" or "AWS.SimpleQueueService.NonExistentQueue" || status == HttpStatusCode.NotFound
            ? new($"there is no such thing: {text}", MissingRemedy, IsShared: answered)
            : new($"{(code.Length > 0 ? code : $"status {(int)status}")}: {text}", "See AWS' message.", Passes: (int)status >= 500, IsShared: answered);
    }

    // One line of a log.
    internal static string Line(string message)
    {
        var line = string.Join(' ', message.Split((char[])['\r', '\n'], StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries));
        return line.Length <= 400 ? line : line[..400] + "…";
    }
}
