using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using OrleansInference.Dispatch;
using OrleansInference.Jobs;
using OrleansInference.Webhooks;

namespace OrleansInference.Tests.Jobs;

/// <summary>Three silos, and a receiver that answers or does not.</summary>
public sealed class WebhookTests
{
    private const string Endpoint = "chat-async";
    private const string Input = """{"inputs":"hello"}""";

    [Fact]
    public async Task The_end_of_a_job_is_posted_once_signed_and_with_its_result()
    {
        await using var world = await JobsWorld.StartAsync();
        await using var receiver = await WebhookReceiver.StartAsync();
        var secret = await RotateAsync(world, JobsWorld.Acme);
        var id = await SubmitAsync(world, receiver.UrlOf("/hook"));
        await UntilToldAsync(world, id, ReplyState.Sent);
        var post = Assert.Single(receiver.Posts);
        Assert.True(post.IsSignedWith(secret));
        Assert.StartsWith(id, post.Id, StringComparison.Ordinal);
        Assert.InRange(DateTimeOffset.UtcNow.ToUnixTimeSeconds() - post.Timestamp, -1, 60);
        var told = JsonDocument.Parse(post.Text).RootElement;
        Assert.Equal((id, "c-1", nameof(JobState.Succeeded)), (Text("jobId"), Text("correlationId"), Text("state")));
        Assert.Equal(JsonValueKind.Object, told.GetProperty("body").ValueKind);
        Assert.Equal((await world.EndOfAsync(id)).Route.Charge.ToString(), Text("charge"));
        Assert.Equal(new JobReplyView { State = ReplyState.Sent, Tries = 1 }, (await world.EndOfAsync(id)).Reply);

        string? Text(string name) => told.GetProperty(name).GetString();
    }

    [Fact]
    public async Task A_receiver_that_fails_is_tried_again_under_the_same_id_across_a_restart_of_every_silo()
    {
        await using var world = await JobsWorld.StartAsync();
        await using var receiver = await WebhookReceiver.StartAsync();
        await RotateAsync(world, JobsWorld.Acme);
        receiver.Answer = static number => number <= 2 ? 503 : 204;
        var id = await SubmitAsync(world, receiver.UrlOf("/hook"));
        await JobsWorld.UntilAsync(() => Task.FromResult(receiver.Posts.Count >= 1), "it was tried");
        await world.RestartClusterAsync();
        await UntilToldAsync(world, id, ReplyState.Sent);
        Assert.Single(receiver.Posts.Select(static post => post.Id).Distinct());
        Assert.InRange(receiver.Posts.Count, 3, 4);
        await world.RequireLedgerAndAuditAgreeAsync(jobs: 1);
    }

    [Fact]
    public async Task Gone_ends_it_and_a_redirect_is_not_followed()
    {
        await using var world = await JobsWorld.StartAsync();
        await using var receiver = await WebhookReceiver.StartAsync();
        await RotateAsync(world, JobsWorld.Acme);
        receiver.Answer = static number => number == 1 ? 307 : 410;
        var id = await SubmitAsync(world, receiver.UrlOf("/hook"));
        await UntilToldAsync(world, id, ReplyState.GivenUp);
        Assert.Equal(["/hook", "/hook"], receiver.Posts.Select(static post => post.Path));
        var reply = (await world.EndOfAsync(id)).Reply!;
        Assert.Equal(2, reply.Tries);
        Assert.Contains("410", reply.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task While_a_secret_is_rotated_both_sign_and_afterwards_the_new_one_alone()
    {
        await using var world = await JobsWorld.StartAsync();
        await using var receiver = await WebhookReceiver.StartAsync();
        var old = await RotateAsync(world, JobsWorld.Acme);
        var rotated = await RotateAsync(world, JobsWorld.Acme, TimeSpan.FromHours(2));
        await UntilToldAsync(world, await SubmitAsync(world, receiver.UrlOf("/hook")), ReplyState.Sent);
        var both = receiver.Posts[0];
        Assert.True(both.IsSignedWith(old) && both.IsSignedWith(rotated));

        var last = await RotateAsync(world, JobsWorld.Acme, TimeSpan.Zero);
        await UntilToldAsync(world, await SubmitAsync(world, receiver.UrlOf("/hook")), ReplyState.Sent);
        var one = receiver.Posts[1];
        Assert.True(one.IsSignedWith(last));
        Assert.False(one.IsSignedWith(old) || one.IsSignedWith(rotated));
    }

    [Fact]
    public async Task A_receiver_that_does_not_answer_holds_up_neither_another_tenant_nor_more_than_its_share()
    {
        await using var world = await JobsWorld.StartAsync();
        await using var receiver = await WebhookReceiver.StartAsync();
        var umbrella = new TenantId("umbrella");
        await RotateAsync(world, JobsWorld.Acme);
        await RotateAsync(world, umbrella);
        var webhooks = world.Services.GetRequiredService<IWebhooks>();
        var hanging = Enumerable.Range(0, 20).Select(i => webhooks.PostAsync(JobsWorld.Acme, receiver.UrlOf("/slow"), $"m{i}", "{}", TestContext.Current.CancellationToken)).ToList();
        await JobsWorld.UntilAsync(() => Task.FromResult(receiver.UnderWay == 8), "as many are under way as may be");
        var other = await webhooks.PostAsync(umbrella, receiver.UrlOf("/hook"), "m", "{}", TestContext.Current.CancellationToken);
        Assert.Equal(ReplyFate.Sent, other.Fate);
        Assert.Equal(9, receiver.MostUnderWay);
        receiver.Slow.SetResult();
        Assert.All(await Task.WhenAll(hanging), static outcome => Assert.True(outcome.Fate is ReplyFate.Sent or ReplyFate.Busy));
    }

    [Fact]
    public async Task A_name_that_leads_inside_is_not_connected_to_and_an_address_inside_is_refused_at_once()
    {
        await using var world = await JobsWorld.StartAsync();
        await using var receiver = await WebhookReceiver.StartAsync();
        await RotateAsync(world, JobsWorld.Acme);
        using var strict = new WebhookSender(WebhookDestinations.PublicOnly, world.Services.GetRequiredService<WebhookSecrets>(), world.Clock);
        var inside = receiver.UrlOf("/hook").Replace("http://127.0.0.1", "https://localhost", StringComparison.Ordinal);
        Assert.Null(await strict.FindProblemAsync(JobsWorld.Acme, inside));
        var outcome = await strict.PostAsync(JobsWorld.Acme, inside, "m", "{}", TestContext.Current.CancellationToken);
        Assert.Equal(ReplyFate.Failed, outcome.Fate);
        Assert.Equal("localhost has no public address that a webhook may go to.", outcome.Problem);

        var refused = await InvokeAsync(world, "https://127.0.0.2/");
        Assert.Equal(ProblemCode.InvalidRequest, refused.Problem?.Code);
        Assert.Contains("public address", refused.Problem!.Message, StringComparison.Ordinal);
        Assert.Empty(receiver.Posts);
    }

    [Fact]
    public async Task Whether_a_name_leads_inside_or_nowhere_is_not_told()
    {
        await using var world = await JobsWorld.StartAsync();
        await RotateAsync(world, JobsWorld.Acme);
        foreach (var resolve in (Func<IPAddress[]>[])[static () => [IPAddress.Parse("10.0.0.7")], static () => [], static () => throw new SocketException((int)SocketError.HostNotFound), static () => throw new SocketException((int)SocketError.TryAgain)])
        {
            using var sender = new WebhookSender(WebhookDestinations.PublicOnly, world.Services.GetRequiredService<WebhookSecrets>(), world.Clock, (_, _) => Task.FromResult(resolve()));
            var outcome = await sender.PostAsync(JobsWorld.Acme, "https://vault.internal/hook", "m", "{}", TestContext.Current.CancellationToken);
            Assert.Equal((ReplyFate.Failed, "vault.internal has no public address that a webhook may go to."), (outcome.Fate, outcome.Problem));
        }
    }

    [Fact]
    public async Task A_tenant_without_a_secret_is_told_so_and_with_one_taken_away_nothing_is_posted()
    {
        await using var world = await JobsWorld.StartAsync();
        await using var receiver = await WebhookReceiver.StartAsync();
        var refused = await InvokeAsync(world, receiver.UrlOf("/hook"));
        Assert.Contains("no webhook secret", refused.Problem?.Message, StringComparison.Ordinal);
        await RotateAsync(world, JobsWorld.Acme);
        var accepted = await InvokeAsync(world, receiver.UrlOf("/hook"));
        Assert.True(accepted.JobId is not null, accepted.Problem?.Message);
        await world.Services.GetRequiredService<WebhookSecrets>().RemoveAsync(JobsWorld.Acme);
        await JobsWorld.UntilAsync(async () => (await world.EndOfAsync(accepted.JobId!)).Reply is { Tries: > 0 }, "it was tried");
        Assert.Contains("no webhook secret", (await world.EndOfAsync(accepted.JobId!)).Reply!.Problem, StringComparison.Ordinal);
        Assert.Empty(receiver.Posts);
    }

    private static async Task<string> RotateAsync(JobsWorld world, TenantId tenant, TimeSpan? overlap = null)
    {
        var issued = await world.Services.GetRequiredService<WebhookSecrets>().RotateAsync(tenant, overlap ?? TimeSpan.FromHours(1));
        Assert.DoesNotContain(issued.Secret, issued.ToString(), StringComparison.Ordinal);
        return issued.Secret;
    }

    private static Task<InferenceOutcome> InvokeAsync(JobsWorld world, string url) => world.Services.GetRequiredService<IDispatcher>().SubmitAsync(
        new()
        {
            Tenant = JobsWorld.Acme,
            Model = JobsWorld.Chat,
            Body = Encoding.UTF8.GetBytes(Input),
            Deadline = TimeSpan.FromHours(2),
            LaneMask = 1 << (int)Lane.Async,
            Delivery = Delivery.Either,
            ReplyTo = new() { Webhook = url },
        },
        TestContext.Current.CancellationToken);

    private static async Task<string> SubmitAsync(JobsWorld world, string url)
    {
        var outcome = await world.SubmitAsync(Input, Endpoint, webhook: url);
        Assert.True(outcome.JobId is not null, outcome.Problem?.Message);
        return outcome.JobId;
    }

    private static Task UntilToldAsync(JobsWorld world, string id, ReplyState state) =>
        JobsWorld.UntilAsync(async () => (await world.EndOfAsync(id)).Reply?.State == state, $"telling the end of {id} is {state}");
}
