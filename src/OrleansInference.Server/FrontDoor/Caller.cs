namespace OrleansInference.FrontDoor;

/// <summary>Who sends a request, believed.</summary>
/// <param name="Tenant">The tenant that the request is for; null for an administrator who named none.</param>
/// <param name="IsAdmin">Whether the admin key was presented.</param>
internal readonly record struct Caller(TenantId? Tenant, bool IsAdmin)
{
    /// <summary>Header by which an administrator names the tenant it acts for.</summary>
    public const string TenantHeader = "X-Inference-Tenant";

    /// <summary>The tenant; refused if an administrator named none.</summary>
    public TenantId RequireTenant() => Tenant ?? throw new RefusedException(Refusal.Invalid($"The admin key belongs to no tenant: name one in the header {TenantHeader}."));

    /// <summary>Refused unless this is an administrator.</summary>
    public void RequireAdmin()
    {
        if (!IsAdmin)
        {
            throw new RefusedException(Refusal.Forbidden("This takes the admin key."));
        }
    }
}
