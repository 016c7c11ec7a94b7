namespace OrleansInference.LocalAws.Wire;

/// <summary>Finds the service that a request is for and turns whatever goes wrong into that service's error.</summary>
internal sealed class FrontDoor(Authentication authentication, IReadOnlyList<IAwsSurface> surfaces, CancellationToken stopping)
{
    public async Task HandleAsync(HttpContext http)
    {
        var request = new AwsRequest(http, authentication);
        var surface = surfaces.First(s => s.Takes(request));
        http.Response.Headers["x-amzn-RequestId"] = Guid.NewGuid().ToString();
        AwsFault fault;

        // Whoever waits, for a message or a model, is told when the server stops.
        using var either = CancellationTokenSource.CreateLinkedTokenSource(http.RequestAborted, stopping);
        try
        {
            await surface.HandleAsync(request, either.Token);
            return;
        }
        catch (AwsFault thrown)
        {
            fault = thrown;
        }
        catch (Exception) when (http.RequestAborted.IsCancellationRequested)
        {
            return;
        }
        catch (OperationCanceledException)
        {
            fault = new(503, "ServiceUnavailable", "The server is shutting down. Send the request again when it is back.");
        }
        catch (BadHttpRequestException exception)
        {
            fault = new(exception.StatusCode, exception.StatusCode == 413 ? "EntityTooLarge" : "InvalidRequest", exception.Message);
        }
        catch (Exception exception)
        {
            fault = new(500, "InternalFailure", $"The embedded AWS failed: {exception.Message}");
        }

        if (http.Response.HasStarted)
        {
            http.Abort();
            return;
        }

        await surface.WriteFaultAsync(http.Response, fault);
    }
}
