using Microsoft.Extensions.Options;
using OrleansInference.Hosting;

namespace OrleansInference.Jobs;

/// <summary>Has the tenant's ledger reserve what a job or a batch needs, or keep it in line for that. What comes of it is for the caller to store.</summary>
internal sealed class Funding(RouterClock clock, IOptions<OrleansInferenceOptions> options)
{
    /// <summary>Reserves what it needs or has it wait for that; the refusal if it does neither, and then nothing is left in the ledger.</summary>
    public async Task<InferenceProblem?> TakeAsync(ITenantGrain tenant, TenantId name, IBudgeted taker)
    {
        var need = taker.Need;
        var reply = await tenant.Reserve(need.ReservationId, need.Amount, need.ExpiresAt);
        if (reply.Granted)
        {
            taker.Reserved(reply.AdmittedAt);
            return null;
        }

        var retryAfterMs = reply.RetryAfterMs;
        var tooMany = "";
        if (taker.TryHold(retryAfterMs, Random.Shared.NextDouble(), clock.Now))
        {
            var held = await tenant.Hold(need);
            if (held.AdmittedAt > 0)
            {
                taker.Funded(held.AdmittedAt, clock.Now);
                return null;
            }

            // Behind those that are before it the money may come too late.
            if (held.IsHeld && taker.TryHold(held.ExpectedMs, Random.Shared.NextDouble(), clock.Now))
            {
                return null;
            }

            if (held.IsHeld)
            {
                await tenant.Settle(need.ReservationId, Money.Zero);
                (retryAfterMs, tooMany) = (held.ExpectedMs, "; held jobs are before it, and its money would come too late");
            }
            else
            {
                tooMany = $"; {options.Value.MaxHeldJobs} jobs are held for it already";
            }
        }

        return new()
        {
            Code = ProblemCode.BudgetExhausted,
            Message = $"Tenant '{name}': {reply.Reason}{tooMany}.",
            RetryAfter = retryAfterMs > 0 ? TimeSpan.FromMilliseconds(retryAfterMs) : null,
        };
    }

    /// <summary>Asks how it stands in the ledger, which puts it back in line if it has been forgotten there; whether it has its money.</summary>
    public async Task<bool> AskAsync(ITenantGrain tenant, IBudgeted taker)
    {
        var reply = await tenant.Hold(taker.Need);
        if (reply.AdmittedAt > 0)
        {
            taker.Funded(reply.AdmittedAt, clock.Now);
            return true;
        }

        taker.StillHeld(reply.ExpectedMs, Random.Shared.NextDouble(), clock.Now);
        return false;
    }
}
