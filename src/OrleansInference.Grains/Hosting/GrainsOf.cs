namespace OrleansInference.Hosting;

/// <summary>
/// References to grains of one interface, by key. Orleans finds out anew for each which grain an interface means, from attributes and names; where there is one
/// for every request, that is a sizeable part of the request.
/// </summary>
internal sealed class GrainsOf<TGrain>(IGrainFactory grains)
    where TGrain : class, IGrainWithStringKey
{
    private GrainReference? _first;

    public TGrain this[string key]
    {
        get
        {
            // Two that find it out at once find the same.
            var first = _first ??= grains.GetGrain<TGrain>(key) as GrainReference;
            return first is null ? grains.GetGrain<TGrain>(key) : (TGrain)grains.GetGrain(GrainId.Create(first.GrainId.Type, key), first.InterfaceType);
        }
    }
}
