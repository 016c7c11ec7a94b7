using System.Text.Json;
using OrleansInference.FrontDoor;
using OrleansInference.Webhooks;

namespace OrleansInference.Tests.FrontDoor;

public sealed class FrontDoorJsonTests
{
    [Fact]
    public void What_people_copy_from_an_answer_is_what_it_is() => Assert.Equal(
        """{"tenant":"acme","secret":"whsec_a+b/c&d<é>'="}""",
        JsonSerializer.Serialize(new IssuedWebhookSecret(new("acme"), "whsec_a+b/c&d<é>'=", null), FrontDoorJson.Options));
}
