using FsCheck.Xunit;
using OrleansInference.Capacity;

namespace OrleansInference.Tests.Capacity;

public sealed class ModelResidencyTests
{
    [Property(MaxTest = 500)]
    public void It_is_the_memory_that_unloads_what_was_not_used_for_longest(int seed)
    {
        var random = new Random(seed);
        var residency = new ModelResidency { Capacity = random.Next(1, 5) };
        var memory = new LinkedList<string>();
        for (var now = 1; now < 200; now++)
        {
            var model = $"model-{random.Next(8)}";
            Assert.Equal(memory.Contains(model), residency.Of(model).IsLoaded);
            residency.Of(model).Used(now);
            memory.Remove(model);
            memory.AddFirst(model);
            while (memory.Count > residency.Capacity)
            {
                memory.RemoveLast();
            }

            Assert.Equal(memory, residency.Loaded().Select(static used => used.TargetModel));
        }
    }

    [Fact]
    public void Uses_elsewhere_count_once_they_are_told()
    {
        var (here, there, owner) = (new ModelResidency { Capacity = 1 }, new ModelResidency { Capacity = 1 }, new ModelResidency { Capacity = 1 });
        here.Of("a").Used(10);
        owner.Merge(here.TakeUsed());
        Assert.Empty(here.TakeUsed());
        there.Merge(owner.Loaded());
        Assert.True(there.Of("a").IsLoaded);
        there.Of("b").Used(20);
        owner.Merge(there.TakeUsed());
        here.Merge(owner.Loaded());
        Assert.False(here.Of("a").IsLoaded);
        Assert.True(here.Of("b").IsLoaded);

        // What is told late does not overtake what is newer.
        here.Merge([new("b", 5)]);
        Assert.Equal(20, here.Of("b").UsedAt);
    }

    [Fact]
    public void Models_used_at_the_same_moment_are_not_counted_on_beyond_what_fits()
    {
        var residency = new ModelResidency { Capacity = 1 };
        residency.Of("a").Used(10);
        residency.Of("b").Used(10);
        Assert.False(residency.Of("a").IsLoaded);
        Assert.False(residency.Of("b").IsLoaded);
        Assert.Throws<ArgumentException>(() => residency.Of(""));
    }
}
