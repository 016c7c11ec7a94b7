namespace OrleansInference.LocalAws.Wire;

/// <summary>One AWS service on the wire.</summary>
internal interface IAwsSurface
{
    /// <summary>Whether the request is for this service.</summary>
    bool Takes(AwsRequest request);

    /// <summary>Answers the request; throws <see cref="AwsFault"/> for what the caller did wrong.</summary>
    Task HandleAsync(AwsRequest request, CancellationToken cancellationToken);

    /// <summary>Writes an error in the service's form. Nothing has been sent yet.</summary>
    Task WriteFaultAsync(HttpResponse response, AwsFault fault);
}
