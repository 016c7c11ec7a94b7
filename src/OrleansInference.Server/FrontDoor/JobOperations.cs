using OrleansInference.Jobs;

namespace OrleansInference.FrontDoor;

/// <summary>Jobs in <c>/v1</c>. A tenant's key reaches its own jobs only; another's do not exist for it.</summary>
internal sealed class JobOperations(IJobs jobs, Authenticator authenticator, FrontDoorOptions options)
{
    public static void Map(IEndpointRouteBuilder routes)
    {
        var group = routes.MapGroup("/v1/jobs/{id}").WithTags("Jobs");
        group.MapGet("", static (HttpContext context, string id, JobOperations rooms) => rooms.GetAsync(context, id))
            .WithName("GetJob").WithSummary("A job as it stands; Prefer: wait=N waits up to N seconds for its end.").Produces<JobView>();
        group.MapGet("/result", static (HttpContext context, string id, JobOperations rooms) => rooms.GetResultAsync(context, id))
            .WithName("GetJobResult").WithSummary("The answer of a job that succeeded; 202 and the job while it has not ended.")
            .Produces<object>(StatusCodes.Status200OK, "application/json").Produces<JobView>(StatusCodes.Status202Accepted);
        group.MapDelete("", static (HttpContext context, string id, JobOperations rooms) => rooms.CancelAsync(context, id))
            .WithName("CancelJob").WithSummary("Cancels a job unless it has ended; answers it as it then stands.").Produces<JobView>();
    }

    private async Task GetAsync(HttpContext context, string id)
    {
        var tenant = (await authenticator.AuthenticateAsync(context)).RequireTenant();
        await WriteAsync(context, await FindAsync(context, tenant, id), StatusCodes.Status200OK);
    }

    private async Task GetResultAsync(HttpContext context, string id)
    {
        var tenant = (await authenticator.AuthenticateAsync(context)).RequireTenant();
        var job = await FindAsync(context, tenant, id);
        if (job.State < JobState.Succeeded)
        {
            await WriteAsync(context, job, StatusCodes.Status202Accepted);
            return;
        }

        await using var result = await jobs.OpenResultAsync(tenant, id, context.RequestAborted) ?? throw Unknown(id);
        var outcome = result.Outcome;
        RouteHeaders.Write(context.Response.Headers, outcome.Route ?? job.Route, chargeIsFinal: true);
        context.Response.Headers[RouteHeaders.JobId] = id;
        if (result.Answer is not { } answer)
        {
            await RefusalWriter.WriteAsync(context, Refusal.Of(outcome.Problem!));
            return;
        }

        context.Response.ContentType = outcome.ContentType ?? "application/octet-stream";
        context.Response.ContentLength = answer.Length;
        await answer.Body.CopyToAsync(context.Response.Body, context.RequestAborted);
    }

    private async Task CancelAsync(HttpContext context, string id)
    {
        var tenant = (await authenticator.AuthenticateAsync(context)).RequireTenant();
        await WriteAsync(context, await jobs.CancelAsync(tenant, Checked(id), context.RequestAborted) ?? throw Unknown(id), StatusCodes.Status200OK);
    }

    private async Task<JobView> FindAsync(HttpContext context, TenantId tenant, string id) =>
        await jobs.GetAsync(tenant, Checked(id), Preferences.Wait(context.Request, options.MaxJobWait), context.RequestAborted) ?? throw Unknown(id);

    // Ids become grain keys with a tenant before a slash: nothing that could name another key gets through.
    private static string Checked(string id) => id.Length <= 128 && id.All(static c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.') ? id : throw Unknown(id);

    private static RefusedException Unknown(string id) => new(Refusal.Of(ProblemCode.UnknownJob, $"There is no job '{(id.Length > 128 ? id[..128] : id)}' of this tenant: check the id; ended jobs are kept for a limited time."));

    private static Task WriteAsync(HttpContext context, JobView job, int status)
    {
        context.Response.StatusCode = status;
        context.Response.Headers[RouteHeaders.JobId] = job.JobId;
        if (status == StatusCodes.Status202Accepted)
        {
            context.Response.Headers.RetryAfter = "1";
            context.Response.Headers.Location = $"/v1/jobs/{job.JobId}";
        }

        return context.Response.WriteAsJsonAsync(job, FrontDoorJson.Options, context.RequestAborted);
    }
}
