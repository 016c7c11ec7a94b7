using OrleansInference.Jobs;

namespace OrleansInference.Webhooks;

/// <summary>Puts webhooks into a host that has grains, a master key and a router's clock.</summary>
internal static class WebhookHosting
{
    public static IServiceCollection AddWebhooks(this IServiceCollection services, WebhookDestinations destinations, TimeSpan secretLifetime)
    {
        services.AddSingleton(destinations);
        services.AddSingleton(provider => ActivatorUtilities.CreateInstance<WebhookSecrets>(provider, secretLifetime));
        services.AddSingleton<IWebhooks, WebhookSender>();
        return services;
    }
}
