using Microsoft.Extensions.Logging;
using OrleansInference.Dispatch;
using OrleansInference.Hosting;
using OrleansInference.Routing;

namespace OrleansInference.Batch;

/// <summary>Decides the route of a batch whose records are stored, and has it accepted.</summary>
internal sealed partial class BatchAdmission(IGrainFactory grains, RequestPlanner planner, RouterClock clock, ILogger<BatchAdmission> logger)
{
    private const int AcceptTries = 3;

    private static readonly TimeSpan BetweenTries = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan ComeBackIn = TimeSpan.FromSeconds(1);

    /// <summary>The batch's id once it is accepted, to be begun or to be held for its tenant's budget; else a problem.</summary>
    public async Task<InferenceOutcome> DecideAsync(InferenceRequest request, RequestPlan plan, BatchUpload upload, IBatchGrain batch)
    {
        // Each record is a request like the largest of them. A batch waits for no window, so the time that a window may be open is not its.
        var wait = plan.Table.Candidates.Where(static candidate => candidate.Lane == Lane.Batch).Select(static candidate => (long)(candidate.Endpoint.WindowMaxSeconds * 1000)).DefaultIfEmpty().Max();
        plan.Route = plan.Route with
        {
            PayloadBytes = upload.LargestRecord,
            InputTokens = (int)BatchBill.Tokens(upload.LargestRecord),
            Deadline = plan.Deadline + wait,
        };
        var routed = await planner.DecideAsync(plan);
        if (routed.Decision.HasRoute && await DecideForAllAsync(plan, routed, upload) is { Candidate: not null } forAll)
        {
            // Where there is no route for all of them, the ledger is asked for the money all the same: it says best why not.
            routed = forAll;
        }

        InferenceOutcome? refused = null;
        for (var tries = 1; routed.Candidate is { } candidate; tries++)
        {
            var outcome = await TryAsync(request, plan, routed, candidate, upload, batch);
            if (outcome.Problem?.Code != ProblemCode.BudgetExhausted || !routed.Decision.HasRoute || tries > plan.Table.Candidates.Length)
            {
                return outcome;
            }

            // As of any job that the ledger refuses: now that it is known how much there is, the tenant's low-budget policy goes on from here.
            refused = outcome;
            var cap = outcome.Route!.ChargeCap;
            plan.Refused = plan.Refused is { } least ? Money.Min(least, cap) : cap;
            plan.Route = plan.Route with { Attempt = plan.Route.Attempt + 1 };
            routed = await DecideForAllAsync(plan, routed, upload);
        }

        // The deadline that was looked at is longer than the caller's.
        return refused ?? new()
        {
            Problem = routed.Problem is { Code: ProblemCode.DeadlineUnreachable } late
                ? late with { Message = $"No batch endpoint of model '{request.Model}' is expected to answer within the {(plan.Deadline - plan.ArrivedAt) / 1000.0:0.###} s that the batch has from its arrival; give it more time." }
                : routed.Problem,
        };
    }

    /// <summary>As a route was decided for one record, so for all of them: the budget may cover the one and not the others.</summary>
    private ValueTask<Routed> DecideForAllAsync(RequestPlan plan, in Routed one, BatchUpload upload)
    {
        var (cap, _) = CapOf(plan, one.Candidate!, upload);
        plan.Alike = Math.Max(plan.Alike, one.ChargeCap > Money.Zero ? ((cap.Nanos - 1) / one.ChargeCap.Nanos) + 1 : 1);
        return planner.DecideAskingAsync(plan, cap);
    }

    private (Money Cap, long LongestMs) CapOf(RequestPlan plan, Candidate candidate, BatchUpload upload)
    {
        var longest = Math.Max(0, Math.Min(plan.Deadline - clock.Now, (long)(candidate.Endpoint.MaxServiceSeconds * 1000)));
        return (BatchBill.Cap(candidate.Endpoint, candidate.Tariff, upload.Records, upload.Bytes, upload.Tokens, longest, plan.Route.MaxOutputTokens), longest);
    }

    private async Task<InferenceOutcome> TryAsync(InferenceRequest request, RequestPlan plan, Routed routed, Candidate candidate, BatchUpload upload, IBatchGrain batch)
    {
        var endpoint = candidate.Endpoint;
        var left = plan.Deadline - clock.Now;
        var (cap, longest) = CapOf(plan, candidate, upload);
        var route = plan.RouteOn(candidate, routed.Decision, cap, Money.Zero);
        if (request.MaxCharge is { } most && cap > most)
        {
            return InferenceOutcome.Refused(ProblemCode.NoCandidate, $"The charge cap of {upload.Records} records, {cap} $, is above the maximum of {most} $ that the batch names.", route: route);
        }

        var overhead = await grains.GetGrain<IBatchWindowsGrain>(endpoint.Name.Value).GetOverhead() ?? endpoint.Prior.ColdStartSeconds * 1000;
        var slots = (double)Math.Max(1, endpoint.MaxInstances) * Math.Max(1, endpoint.ConcurrencyPerInstance);
        var needed = overhead + (Math.Ceiling(upload.Records / slots) * routed.ServiceMs);
        if (needed > left)
        {
            return InferenceOutcome.Refused(
                ProblemCode.DeadlineUnreachable,
                $"The batch is expected to take {needed / 1000:0} s on endpoint '{endpoint.Name}', and its deadline is in {Math.Max(0, left) / 1000:0} s; give it more time or fewer records.",
                route: route);
        }

        return await AcceptAsync(batch, new()
        {
            Request = request with { Body = default },
            Route = route,
            Upload = upload.Name,
            AcceptedAt = plan.ArrivedAt,
            Deadline = plan.Deadline,
            InputHash = upload.Hash,
            Objects = upload.Objects,
            LongestCallMs = longest,
            MaxOutputTokens = plan.Route.MaxOutputTokens,
            ModelMaxOutputTokens = plan.Table.Snapshot.Model.MaxOutputTokens,
            MayHold = routed.Decision.Held is not null,
            ExpectedMs = (long)Math.Ceiling(needed),
        });
    }

    // What the caller does from here on no longer matters: the batch is either accepted or it is not.
    private async Task<InferenceOutcome> AcceptAsync(IBatchGrain batch, BatchSpecification specification)
    {
        for (var tries = 1; ; tries++)
        {
            try
            {
                return await batch.Accept(specification);
            }
            catch (Exception exception) when (tries < AcceptTries)
            {
                // Accepting is idempotent, and the next try learns what became of this one.
                LogFault(exception, specification.Request.Tenant);
                await Task.Delay(BetweenTries, clock.TimeProvider, CancellationToken.None);
            }
            catch (Exception exception)
            {
                LogFault(exception, specification.Request.Tenant);
                return InferenceOutcome.Refused(
                    ProblemCode.Unavailable,
                    "Whether the batch was accepted is not known: send it again under the same idempotency key, or look after it in a moment.",
                    ComeBackIn,
                    specification.Route);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "A batch of tenant {Tenant} met a fault while it was accepted.")]
    private partial void LogFault(Exception exception, TenantId tenant);
}
