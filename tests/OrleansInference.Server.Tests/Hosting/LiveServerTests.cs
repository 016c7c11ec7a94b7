using System.Net;
using System.Net.Http.Json;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using OrleansInference.Configuration;
using OrleansInference.FrontDoor;
using OrleansInference.Hosting;
using OrleansInference.Webhooks;

namespace OrleansInference.Tests.Hosting;

public sealed class LiveServerTests(LiveServer server) : IClassFixture<LiveServer>
{
    [Fact]
    public async Task Both_dialects_answer_with_an_api_key_and_with_a_signature()
    {
        var key = await server.IssueAsync("acme");
        foreach (var path in (string[])[LiveServer.Invocations, $"/endpoints/{LiveServer.Model}/invocations"])
        {
            foreach (var response in (HttpResponseMessage[])[await server.PostAsync(path, key.ApiKey), await server.PostSignedAsync(path, key)])
            {
                Assert.Equal(HttpStatusCode.OK, response.StatusCode);
                Assert.Equal("full", response.Headers.GetValues("X-Inference-Variant").Single());
                Assert.Equal(20, JsonDocument.Parse(await response.Content.ReadAsStringAsync()).RootElement.GetProperty("usage").GetProperty("output_tokens").GetInt32());

                // 0.0001 $ a request and 0.001 $ per 1,000 output tokens.
                Assert.Equal("0.00012", response.Headers.GetValues("X-Inference-Charge").Single());
                response.Dispose();
            }
        }
    }

    [Fact]
    public async Task A_wrong_secret_is_refused_and_charges_nothing()
    {
        var key = await server.IssueAsync("acme");
        using var response = await server.PostSignedAsync($"/endpoints/{LiveServer.Model}/invocations", key, secret: new('x', 40));
        Assert.Equal(HttpStatusCode.Forbidden, response.StatusCode);
        Assert.Equal("InvalidSignatureException", response.Headers.GetValues("x-amzn-ErrorType").Single());
    }

    [Fact]
    public async Task A_revoked_key_is_useless_at_once()
    {
        var key = await server.IssueAsync("acme");
        Assert.Equal(HttpStatusCode.OK, (await server.PostAsync(LiveServer.Invocations, key.ApiKey)).StatusCode);
        Assert.Equal(HttpStatusCode.NoContent, (await server.SendAsync(HttpMethod.Delete, $"/v1/admin/keys/{key.AccessKeyId}", server.AdminKey)).StatusCode);
        Assert.Equal(HttpStatusCode.Unauthorized, (await server.PostAsync(LiveServer.Invocations, key.ApiKey)).StatusCode);
    }

    [Fact]
    public async Task An_unknown_model_is_named_in_either_dialect()
    {
        var key = await server.IssueAsync("acme");
        using var own = await server.PostAsync("/v1/models/nothing/invocations", key.ApiKey);
        Assert.Equal(HttpStatusCode.NotFound, own.StatusCode);
        Assert.Contains("nothing", await own.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        using var sageMaker = await server.PostSignedAsync("/endpoints/nothing/invocations", key);
        Assert.Equal("ValidationError", sageMaker.Headers.GetValues("x-amzn-ErrorType").Single());
    }

    [Fact]
    public async Task A_tenant_sees_itself_alone()
    {
        var acme = await server.IssueAsync("acme");
        var other = await server.IssueAsync("other");
        using var accepted = await server.PostAsync(LiveServer.Invocations, acme.ApiKey, ("X-Inference-Lanes", "Async"), ("Prefer", "respond-async"), ("X-Inference-Deadline", "20m"));
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        var job = accepted.Headers.Location!.OriginalString;
        Assert.Equal(HttpStatusCode.OK, (await server.SendAsync(HttpMethod.Get, job, acme.ApiKey)).StatusCode);
        Assert.Equal(HttpStatusCode.OK, (await server.SendAsync(HttpMethod.Get, job, server.AdminKey, null, ("X-Inference-Tenant", "acme"))).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await server.SendAsync(HttpMethod.Get, job, other.ApiKey)).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await server.SendAsync(HttpMethod.Delete, job, other.ApiKey)).StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, (await server.SendAsync(HttpMethod.Get, "/v1/tenants/acme/budget", other.ApiKey)).StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, (await server.SendAsync(HttpMethod.Get, "/v1/endpoints/chat-rt", other.ApiKey)).StatusCode);
        Assert.Equal(HttpStatusCode.Forbidden, (await server.SendAsync(HttpMethod.Get, "/v1/admin/catalog", other.ApiKey)).StatusCode);
        Assert.Equal(HttpStatusCode.NotFound, (await server.PostAsync("/v1/models/private/invocations", other.ApiKey)).StatusCode);
        Assert.Equal(["chat"], (await server.GetAsync("/v1/models", other.ApiKey)).EnumerateArray().Select(static m => m.GetProperty("name").GetString()));

        using var answered = await server.PostAsync(LiveServer.Invocations, acme.ApiKey);
        var decision = $"/v1/decisions/{answered.Headers.GetValues("X-Inference-Decision-Id").Single()}";
        Assert.True((await server.GetAsync(decision, acme.ApiKey)).GetProperty("replayed").GetBoolean());
        Assert.Equal(HttpStatusCode.NotFound, (await server.SendAsync(HttpMethod.Get, decision, other.ApiKey)).StatusCode);
    }

    [Fact]
    public async Task Models_on_one_endpoint_are_answered_by_it_and_shown_as_one_bill()
    {
        var key = (await server.IssueAsync("acme")).ApiKey;
        foreach (var model in (string[])["pooled-a", "pooled-b", "pooled-a"])
        {
            await LiveServer.EventuallyAsync(
                async () =>
                {
                    using var answer = await server.PostAsync($"/v1/models/{model}/invocations", key);
                    return answer.IsSuccessStatusCode && answer.Headers.GetValues("X-Inference-Endpoint").Single() == $"{model}-on-pool";
                },
                $"an answer of {model}");
        }

        await LiveServer.EventuallyAsync(async () => (await server.GetAsync("/v1/endpoints/pool", server.AdminKey)).GetProperty("predictions").GetInt64() >= 3, "three predictions of the shared endpoint");
        var pool = await server.GetAsync("/v1/endpoints/pool", server.AdminKey);
        Assert.Equal(["pooled-a", "pooled-b"], pool.GetProperty("configuration").GetProperty("models").EnumerateArray().Select(static model => model.GetString()));
        Assert.Equal(HttpStatusCode.NotFound, (await server.SendAsync(HttpMethod.Get, "/v1/endpoints/pooled-a-on-pool", server.AdminKey)).StatusCode);
        var dry = await server.PostAsync("/v1/models/pooled-b/route", key);
        Assert.Contains("\"modelLoadSeconds\":", await dry.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task One_idempotency_key_is_one_job()
    {
        var key = (await server.IssueAsync("acme")).ApiKey;
        (string, string)[] headers = [("X-Inference-Lanes", "Async"), ("Prefer", "respond-async"), ("X-Inference-Deadline", "20m"), ("Idempotency-Key", Guid.NewGuid().ToString("n"))];
        using var first = await server.PostAsync(LiveServer.Invocations, key, headers);
        using var second = await server.PostAsync(LiveServer.Invocations, key, headers);
        Assert.Equal(HttpStatusCode.Accepted, second.StatusCode);
        Assert.Equal(first.Headers.Location, second.Headers.Location);
        using var another = await server.SendAsync(HttpMethod.Post, LiveServer.Invocations, key, new StringContent("{}"), headers);
        Assert.Equal(HttpStatusCode.Conflict, another.StatusCode);
    }

    [Fact]
    public async Task One_idempotency_key_is_one_answer_and_one_charge_in_line()
    {
        var key = (await server.IssueAsync("acme")).ApiKey;
        (string, string)[] headers = [("X-Inference-Class", "High"), ("X-Inference-Lanes", "Realtime"), ("Idempotency-Key", Guid.NewGuid().ToString("n"))];
        using var first = await server.PostAsync(LiveServer.Invocations, key, headers);
        Assert.True(first.StatusCode == HttpStatusCode.OK, await first.Content.ReadAsStringAsync());
        Assert.False(first.Headers.Contains("X-Inference-Idempotent-Replay"));
        using var second = await server.PostAsync(LiveServer.Invocations, key, headers);
        Assert.Equal("true", second.Headers.GetValues("X-Inference-Idempotent-Replay").Single());
        foreach (var name in (string[])["X-Inference-Decision-Id", "X-Inference-Charge", "X-Inference-Lane", "X-Inference-Endpoint"])
        {
            Assert.Equal(first.Headers.GetValues(name), second.Headers.GetValues(name));
        }

        Assert.Equal(await first.Content.ReadAsByteArrayAsync(), await second.Content.ReadAsByteArrayAsync());
        using var another = await server.SendAsync(HttpMethod.Post, LiveServer.Invocations, key, new StringContent("{}"), headers);
        Assert.Equal(HttpStatusCode.Conflict, another.StatusCode);
    }

    [Fact]
    public async Task An_idempotency_key_that_became_a_job_is_that_job_for_a_caller_who_waits_too()
    {
        var key = (await server.IssueAsync("acme")).ApiKey;
        var name = ("Idempotency-Key", Guid.NewGuid().ToString("n"));
        using var accepted = await server.PostAsync(LiveServer.Invocations, key, name, ("X-Inference-Lanes", "Async"), ("Prefer", "respond-async"), ("X-Inference-Deadline", "20m"));
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        using var waited = await server.PostAsync(LiveServer.Invocations, key, name, ("X-Inference-Deadline", "20m"));
        Assert.True(waited.StatusCode == HttpStatusCode.OK, await waited.Content.ReadAsStringAsync());
        Assert.Equal("Async", waited.Headers.GetValues("X-Inference-Lane").Single());
        Assert.Equal("true", waited.Headers.GetValues("X-Inference-Idempotent-Replay").Single());
        Assert.Equal(accepted.Headers.GetValues("X-Inference-Decision-Id"), waited.Headers.GetValues("X-Inference-Decision-Id"));
    }

    [Fact]
    public async Task A_job_ends_with_its_answer_and_its_charge()
    {
        var key = (await server.IssueAsync("acme")).ApiKey;
        using var accepted = await server.PostAsync(LiveServer.Invocations, key, ("X-Inference-Lanes", "Async"), ("Prefer", "respond-async"), ("X-Inference-Deadline", "20m"));
        var job = accepted.Headers.Location!.OriginalString;
        HttpResponseMessage? result = null;
        await LiveServer.EventuallyAsync(
            async () => (result = await server.SendAsync(HttpMethod.Get, $"{job}/result", key, null, ("Prefer", "wait=5"))).StatusCode != HttpStatusCode.Accepted,
            "the job's end");
        Assert.True(result!.StatusCode == HttpStatusCode.OK, await result.Content.ReadAsStringAsync());
        Assert.Equal("Async", result.Headers.GetValues("X-Inference-Lane").Single());
        Assert.Contains("generated_text", await result.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_asynchronous_call_of_a_tenant_of_class_High_that_declares_nothing_is_accepted_as_Medium()
    {
        await server.StoreAsync("tenants/acme/in/1.json");
        var key = await server.IssueAsync("acme");
        const string Path = $"/endpoints/{LiveServer.Model}/async-invocations";
        (string, string) input = ("X-Amzn-SageMaker-InputLocation", "s3://orleans-inference/tenants/acme/in/1.json");
        using var silent = await server.SendAsync(HttpMethod.Post, Path, key.ApiKey, null, input);
        Assert.True(silent.StatusCode == HttpStatusCode.Accepted, await silent.Content.ReadAsStringAsync());
        Assert.Equal("Medium", silent.Headers.GetValues("X-Inference-Class").Single());
        Assert.Equal("Async", silent.Headers.GetValues("X-Inference-Lane").Single());

        // What is declared stands.
        using var declared = await server.SendAsync(HttpMethod.Post, Path, key.ApiKey, null, input, ("X-Amzn-SageMaker-Custom-Attributes", "class=High"));
        Assert.Equal("High", declared.Headers.GetValues("X-Inference-Class").Single());
        using var inline = await server.PostAsync(LiveServer.Invocations, key.ApiKey);
        Assert.Equal("High", inline.Headers.GetValues("X-Inference-Class").Single());
    }

    [Fact]
    public async Task An_explanation_names_every_candidate()
    {
        var key = (await server.IssueAsync("acme")).ApiKey;
        using var response = await server.PostAsync($"/v1/models/{LiveServer.Model}/route", key);
        var explanation = (await response.Content.ReadFromJsonAsync<Explanation>(FrontDoorJson.Options))!;
        Assert.Equal(["chat-async", "chat-rt"], explanation.Candidates.Select(static c => c.Endpoint.Value).Order());
        Assert.All(explanation.Candidates, static candidate => Assert.NotEmpty(candidate.Reason));
    }

    [Fact]
    public async Task An_empty_budget_refuses_and_says_so()
    {
        using var response = await server.PostAsync(LiveServer.Invocations, (await server.IssueAsync("poor")).ApiKey);
        Assert.Equal(HttpStatusCode.TooManyRequests, response.StatusCode);
        Assert.Contains("BudgetExhausted", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
        Assert.Equal(Money.Zero, (await server.BudgetAsync("poor")).SettledTotal);
    }

    [Fact]
    public async Task A_catalog_with_mistakes_is_refused_whole()
    {
        var bad = LiveServer.Catalog() with { InstancePrices = LiveServer.Catalog().InstancePrices.SetItem("ml.g5.xlarge", Money.FromNanos(-1)), IdleMargin = -1 };
        using var response = await server.SendAsync(HttpMethod.Put, "/v1/admin/catalog", server.AdminKey, LiveServer.Json(bad));
        var text = await response.Content.ReadAsStringAsync();
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.Contains("instancePrices", text, StringComparison.Ordinal);
        Assert.Contains("idleMargin", text, StringComparison.Ordinal);
        Assert.Equal("1.408", (await server.GetAsync("/v1/admin/catalog", server.AdminKey)).GetProperty("instancePrices").GetProperty("ml.g5.xlarge").GetString());
    }

    [Theory]
    [InlineData("""{"models":[{"name":"m","variants":[{"name":"v","endpoints":[{"name":"e","lane":"Fast","minInstances":"one"}]}]}],"idleMargin":[]}""", "models[0].variants[0].endpoints[0].lane", "models[0].variants[0].endpoints[0].minInstances", "idleMargin", "Realtime, Serverless, Async, Batch")]
    [InlineData("""{"models":[{"name":"m","fallback":"n"},null],"modls":[]}""", "fallback", "modls")]
    [InlineData("""{"models":[null],"tenants":null}""", "tenants")]
    public async Task Every_mistake_in_the_form_of_a_catalog_is_named_at_once(string body, params string[] named)
    {
        using var response = await server.SendAsync(HttpMethod.Put, "/v1/admin/catalog", server.AdminKey, new StringContent(body, System.Text.Encoding.UTF8, "application/json"));
        var text = await response.Content.ReadAsStringAsync();
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.All(named, name => Assert.Contains(name, text, StringComparison.Ordinal));
        Assert.DoesNotContain("System.", text, StringComparison.Ordinal);
        Assert.DoesNotContain("OrleansInference.", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{}", "id")]
    [InlineData("""{"id":"added","weight":"heavy","classCeiling":"Top"}""", "weight", "classCeiling")]
    public async Task Every_mistake_in_the_form_of_a_tenant_is_named_at_once(string body, params string[] named)
    {
        using var response = await server.SendAsync(HttpMethod.Put, "/v1/admin/tenants/added", server.AdminKey, new StringContent(body, System.Text.Encoding.UTF8, "application/json"));
        var text = await response.Content.ReadAsStringAsync();
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.All(named, name => Assert.Contains(name, text, StringComparison.Ordinal));
        Assert.DoesNotContain("OrleansInference.", text, StringComparison.Ordinal);
        Assert.DoesNotContain("tenants[", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_catalog_without_tenants_does_not_take_them_all_away()
    {
        using var response = await server.SendAsync(HttpMethod.Put, "/v1/admin/catalog", server.AdminKey, LiveServer.Json(LiveServer.Catalog() with { Tenants = [] }));
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.NotEqual(0, (await server.GetAsync("/v1/admin/catalog", server.AdminKey)).GetProperty("tenants").GetArrayLength());
    }

    [Fact]
    public async Task A_tenant_beyond_its_rate_is_told_when_to_come_back_and_what_its_limits_are()
    {
        using var put = await server.SendAsync(HttpMethod.Put, "/v1/admin/tenants/limited", server.AdminKey, LiveServer.Json(new TenantDefinition { Id = new("limited"), Limits = [new() { RequestsPerSecond = 0.000_01, Burst = 2, MaxInFlight = 5 }] }));
        Assert.True(put.IsSuccessStatusCode, await put.Content.ReadAsStringAsync());
        var key = await server.IssueAsync("limited");
        var statuses = new List<HttpStatusCode>();
        for (var i = 0; i < 3; i++)
        {
            using var response = await server.PostAsync(LiveServer.Invocations, key.ApiKey);
            statuses.Add(response.StatusCode);
            Assert.StartsWith("\"all\";q=2;w=", Assert.Single(response.Headers.GetValues("RateLimit-Policy")), StringComparison.Ordinal);
            Assert.Contains("\"all-in-flight\";q=5;qu=\"concurrent-requests\"", Assert.Single(response.Headers.GetValues("RateLimit-Policy")), StringComparison.Ordinal);
            Assert.StartsWith("\"all\";r=", Assert.Single(response.Headers.GetValues("RateLimit")), StringComparison.Ordinal);
            if (response.StatusCode == HttpStatusCode.TooManyRequests)
            {
                Assert.True(response.Headers.RetryAfter!.Delta > TimeSpan.Zero);
                Assert.Contains("slow down", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
            }
        }

        Assert.Equal([HttpStatusCode.OK, HttpStatusCode.OK, HttpStatusCode.TooManyRequests], statuses);
        using var signed = await server.PostSignedAsync("/endpoints/chat/invocations", key);
        Assert.Equal(HttpStatusCode.BadRequest, signed.StatusCode);
        Assert.Contains("ThrottlingException", Assert.Single(signed.Headers.GetValues("x-amzn-ErrorType")), StringComparison.Ordinal);
        Assert.True(signed.Headers.RetryAfter!.Delta > TimeSpan.Zero);
    }

    [Fact]
    public async Task An_endpoint_shows_its_slots_its_queue_and_its_instances()
    {
        var key = (await server.IssueAsync("acme")).ApiKey;
        using (await server.PostAsync(LiveServer.Invocations, key))
        {
            // It has been used.
        }

        var view = await server.GetAsync("/v1/endpoints/chat-rt", server.AdminKey);
        var slots = view.GetProperty("slots");
        Assert.True(slots.GetProperty("offered").GetInt32() > 0);
        Assert.InRange(slots.GetProperty("limit").GetInt32(), 1, slots.GetProperty("offered").GetInt32());
        Assert.Equal(0, slots.GetProperty("waiting").GetProperty("High").GetInt32());
        Assert.Equal("InService", view.GetProperty("capacity").GetProperty("status").GetString());
        Assert.Equal(slots.GetProperty("leased").GetInt64(), view.GetProperty("leases").EnumerateObject().Sum(static lease => lease.Value.GetInt64()));
    }

    [Fact]
    public async Task A_refusal_names_the_decision_that_says_why()
    {
        var key = (await server.IssueAsync("acme")).ApiKey;
        using var refusal = await server.PostAsync(LiveServer.Invocations, key, ("X-Inference-Deadline", "0.001"));
        var problem = JsonDocument.Parse(await refusal.Content.ReadAsStringAsync()).RootElement;
        Assert.Equal("DeadlineUnreachable", problem.GetProperty("code").GetString());
        var id = problem.GetProperty("decisionId").GetString();
        Assert.Equal(id, Assert.Single(refusal.Headers.GetValues("X-Inference-Decision-Id")));
        var decision = await server.GetAsync($"/v1/decisions/{id}", key);
        Assert.All(decision.GetProperty("candidates").EnumerateArray(), static candidate => Assert.NotEmpty(candidate.GetProperty("reason").GetString()!));
    }

    [Fact]
    public async Task A_key_does_not_act_for_another_tenant()
    {
        using var response = await server.PostAsync(LiveServer.Invocations, (await server.IssueAsync("acme")).ApiKey, ("X-Inference-Tenant", "poor"));
        Assert.Equal(HttpStatusCode.Forbidden, response.StatusCode);
    }

    [Fact]
    public async Task A_catalog_without_models_does_not_take_everything_away()
    {
        using var response = await server.SendAsync(HttpMethod.Put, "/v1/admin/catalog", server.AdminKey, new StringContent("{}", System.Text.Encoding.UTF8, "application/json"));
        Assert.Equal(HttpStatusCode.BadRequest, response.StatusCode);
        Assert.NotEqual(0, (await server.GetAsync("/v1/admin/catalog", server.AdminKey)).GetProperty("models").GetArrayLength());
    }

    [Fact]
    public async Task A_tenant_can_be_added_and_used()
    {
        var tenant = new TenantDefinition { Id = new("added") };
        using var put = await server.SendAsync(HttpMethod.Put, "/v1/admin/tenants/added", server.AdminKey, LiveServer.Json(tenant));
        Assert.True(put.IsSuccessStatusCode, await put.Content.ReadAsStringAsync());
        using var answer = await server.PostAsync(LiveServer.Invocations, (await server.IssueAsync("added")).ApiKey);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        using var nobody = await server.SendAsync(HttpMethod.Post, "/v1/admin/tenants/nobody/keys", server.AdminKey);
        Assert.Equal(HttpStatusCode.NotFound, nobody.StatusCode);
    }

    [Theory]
    [InlineData("acme")]
    [InlineData("unheard-of")]
    public async Task What_is_wrong_with_a_tenant_is_named_as_its_own(string id)
    {
        using var body = new StringContent($$"""{"id":"{{id}}","minQuality":2,"budgets":[{"kind":"Rolling","seconds":1,"limit":"-1"}]}""", System.Text.Encoding.UTF8, "application/json");
        using var put = await server.SendAsync(HttpMethod.Put, $"/v1/admin/tenants/{id}", server.AdminKey, body);
        var problems = JsonDocument.Parse(await put.Content.ReadAsStringAsync()).RootElement.GetProperty("detail").GetString()!.Split(Environment.NewLine);
        Assert.Equal(HttpStatusCode.BadRequest, put.StatusCode);
        Assert.Contains(problems, static problem => problem.StartsWith("minQuality: ", StringComparison.Ordinal));
        Assert.Contains(problems, static problem => problem.StartsWith("budgets[0].limit: ", StringComparison.Ordinal));
        Assert.DoesNotContain(problems, static problem => problem.Contains("tenants[", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_webhook_is_told_the_end_of_a_job_under_the_secret_that_the_admin_API_gave()
    {
        var key = (await server.IssueAsync("acme")).ApiKey;
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        await using var receiver = builder.Build();
        var posted = new TaskCompletionSource<(IHeaderDictionary Headers, byte[] Body)>(TaskCreationOptions.RunContinuationsAsynchronously);
        receiver.Run(async context =>
        {
            using var body = new MemoryStream();
            await context.Request.Body.CopyToAsync(body);
            posted.TrySetResult((new HeaderDictionary(context.Request.Headers.ToDictionary()), body.ToArray()));
        });
        await receiver.StartAsync(TestContext.Current.CancellationToken);
        (string, string)[] headers = [("X-Inference-Lanes", "Async"), ("Prefer", "respond-async"), ("X-Inference-Deadline", "20m"), ("X-Inference-Webhook", receiver.Urls.First() + "/hook")];
        using var early = await server.PostAsync(LiveServer.Invocations, key, headers);
        Assert.Equal(HttpStatusCode.BadRequest, early.StatusCode);
        Assert.Contains("webhook-secret", await early.Content.ReadAsStringAsync(TestContext.Current.CancellationToken), StringComparison.Ordinal);

        Assert.Equal(HttpStatusCode.Forbidden, (await server.SendAsync(HttpMethod.Post, "/v1/admin/tenants/acme/webhook-secret", key)).StatusCode);
        Assert.Equal(HttpStatusCode.BadRequest, (await server.SendAsync(HttpMethod.Post, "/v1/admin/tenants/acme/webhook-secret?overlap=40d", server.AdminKey)).StatusCode);
        using var made = await server.SendAsync(HttpMethod.Post, "/v1/admin/tenants/acme/webhook-secret", server.AdminKey);
        Assert.Equal(HttpStatusCode.Created, made.StatusCode);
        var secret = JsonDocument.Parse(await made.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).RootElement.GetProperty("secret").GetString()!;

        using var accepted = await server.PostAsync(LiveServer.Invocations, key, headers);
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        var (sent, message) = await posted.Task.WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
        var timestamp = long.Parse(sent[WebhookSignature.TimestampHeader]!, System.Globalization.CultureInfo.InvariantCulture);
        Assert.Equal(WebhookSignature.Sign([secret], sent[WebhookSignature.IdHeader]!, timestamp, message), sent[WebhookSignature.SignatureHeader]);
        Assert.Equal("application/json", sent.ContentType);
        var job = accepted.Headers.Location!.OriginalString;
        Assert.EndsWith(JsonDocument.Parse(message).RootElement.GetProperty("jobId").GetString()!, job, StringComparison.Ordinal);
        await LiveServer.EventuallyAsync(async () => (await server.GetAsync(job, key)).GetProperty("reply").GetProperty("state").GetString() == "Sent", "the job says that its end was told");
        Assert.Equal(HttpStatusCode.NoContent, (await server.SendAsync(HttpMethod.Delete, "/v1/admin/tenants/acme/webhook-secret", server.AdminKey)).StatusCode);
        using var late = await server.PostAsync(LiveServer.Invocations, key, headers);
        Assert.Equal(HttpStatusCode.BadRequest, late.StatusCode);
    }

    [Fact]
    public async Task What_the_operator_watches_is_there()
    {
        using var ready = await server.SendAsync(HttpMethod.Get, "/readyz", "none");
        Assert.Equal(HttpStatusCode.OK, ready.StatusCode);
        Assert.Contains("orleans_inference_requests", await server.Http.GetStringAsync(new Uri(server.Address, "/metrics")), StringComparison.Ordinal);
        Assert.Equal(1, (await server.GetAsync("/v1/endpoints/chat-rt", server.AdminKey)).GetProperty("status").GetProperty("inService").GetInt32());
    }

    [Fact]
    public async Task A_second_server_is_told_that_the_data_folder_is_in_use_and_the_port_taken()
    {
        var exception = await Assert.ThrowsAsync<ConfigurationException>(() => ServerHost.StartAsync(server.Settings with { Urls = [server.Address.GetLeftPart(UriPartial.Authority)] }));
        Assert.Contains(exception.Problems, problem => problem.Contains($"port {server.Address.Port} is taken", StringComparison.Ordinal));
        Assert.Contains(exception.Problems, static problem => problem.Contains("in use by another server", StringComparison.Ordinal));
    }
}

public sealed class RestartTests
{
    [Fact]
    public async Task A_restart_keeps_keys_jobs_and_the_ledger_and_the_audit_log_agrees_with_it()
    {
        await using var server = new LiveServer();
        await server.InitializeAsync();
        var key = await server.IssueAsync("acme");
        for (var i = 0; i < 20; i++)
        {
            Assert.Equal(HttpStatusCode.OK, (await server.PostAsync(LiveServer.Invocations, key.ApiKey)).StatusCode);
        }

        using var accepted = await server.PostAsync(LiveServer.Invocations, key.ApiKey, ("X-Inference-Lanes", "Async"), ("Prefer", "respond-async"), ("X-Inference-Deadline", "12h"));
        Assert.Equal(HttpStatusCode.Accepted, accepted.StatusCode);
        await server.StopAsync();
        await server.StartAsync();

        await LiveServer.EventuallyAsync(
            async () => (await server.SendAsync(HttpMethod.Get, $"{accepted.Headers.Location!.OriginalString}/result", key.ApiKey, null, ("Prefer", "wait=5"))).StatusCode == HttpStatusCode.OK,
            "the job's result after the restart");
        await LiveServer.EventuallyAsync(async () => await server.PostAsync(LiveServer.Invocations, key.ApiKey) is { IsSuccessStatusCode: true }, "an answer after the restart");

        // Silos report what they have settled at a steady beat.
        await LiveServer.EventuallyAsync(
            async () =>
            {
                var audit = (await server.GetAsync("/v1/admin/audit/summary", server.AdminKey)).GetProperty("tenants").EnumerateArray().Single(static t => t.GetProperty("tenant").GetString() == "acme");
                var budget = await server.BudgetAsync("acme");
                return audit.GetProperty("records").GetInt32() >= 22 && audit.GetProperty("charged").GetString() == budget.SettledTotal.ToString() && budget.UnreportedTotal == Money.Zero;
            },
            "the audit log's sum equal to the ledger's");
        Assert.Empty((await server.GetAsync("/v1/admin/audit/summary", server.AdminKey)).GetProperty("gaps").EnumerateArray());
    }
}
