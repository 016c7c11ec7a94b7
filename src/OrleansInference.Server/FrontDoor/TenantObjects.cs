namespace OrleansInference.FrontDoor;

/// <summary>Where a tenant may keep inputs: what another tenant stored is out of its reach.</summary>
internal static class TenantObjects
{
    private const int MaxKeyLength = 1024;

    /// <summary>The beginning of every address of the tenant.</summary>
    public static string Prefix(string bucket, TenantId tenant) => $"s3://{bucket}/tenants/{tenant}/";

    /// <summary>Whether the address is of an object below the tenant's prefix.</summary>
    public static bool IsOwn(string location, string bucket, TenantId tenant)
    {
        var prefix = Prefix(bucket, tenant);
        return location.Length > prefix.Length && location.StartsWith(prefix, StringComparison.Ordinal)
            && location.Length <= prefix.Length + MaxKeyLength && CustomAttributes.IsValid(location)
            && !location[prefix.Length..].Split('/').Any(part => part is "" or "." or "..");
    }

    /// <summary>Whether the address is the tenant's prefix, or one of objects below it, which may end with a slash.</summary>
    public static bool IsOwnPrefix(string location, string bucket, TenantId tenant) =>
        location == Prefix(bucket, tenant) || IsOwn(location.EndsWith('/') ? location[..^1] : location, bucket, tenant);
}
