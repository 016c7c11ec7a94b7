namespace OrleansInference.Pricing;

/// <summary>What AWS bills the operator. Billing is by time, per second; sums are exact and rounded up once.</summary>
public static class OperatorCost
{
    private const long BytesPerGigabyte = 1_000_000_000;

    /// <summary>Instances, from in-service to release, busy or idle.</summary>
    /// <param name="perInstanceSecond">Cost of one instance-second.</param>
    /// <param name="instanceMilliseconds">Sum over the instances of the time each was in service.</param>
    public static Money OfInstances(Money perInstanceSecond, long instanceMilliseconds) =>
        Quotient(perInstanceSecond, instanceMilliseconds, 1000);

    /// <summary>Serverless executions: memory × time, starts included, and what was transferred.</summary>
    /// <param name="perExecutionSecond">Cost of one second of an execution of this memory size.</param>
    /// <param name="executionMilliseconds">Sum over the executions.</param>
    /// <param name="perGigabyteTransferred">Cost of one GB in or out.</param>
    /// <param name="bytes">Bytes in and out.</param>
    public static Money OfServerless(Money perExecutionSecond, long executionMilliseconds, Money perGigabyteTransferred, long bytes) =>
        Quotient(perExecutionSecond, executionMilliseconds, 1000) + Quotient(perGigabyteTransferred, bytes, BytesPerGigabyte);

    private static Money Quotient(Money price, long quantity, long unit)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(price.Nanos, nameof(price));
        ArgumentOutOfRangeException.ThrowIfNegative(quantity);
        var nanos = ((Int128)price.Nanos * quantity) + (unit - 1);
        return Money.FromNanos(checked((long)(nanos / unit)));
    }
}
