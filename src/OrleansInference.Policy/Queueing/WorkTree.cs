namespace OrleansInference.Queueing;

/// <summary>
/// Ordered sets of nodes that know how much work lies before a key: treaps (Seidel, Aragon 1996) whose nodes add up the work below
/// them, in one array for all trees. The caller numbers the nodes, and holds the root of each tree. Every step takes logarithmic expected time.
/// </summary>
internal sealed class WorkTree
{
    /// <summary>No node; the root of an empty tree.</summary>
    public const int None = -1;

    private Node[] _nodes = [];

    /// <summary>Makes room for nodes below this number.</summary>
    public void Grow(int nodes) => Array.Resize(ref _nodes, nodes);

    /// <summary>The node's work.</summary>
    public int Work(int node) => _nodes[node].Work;

    /// <summary>The node's key.</summary>
    public long Key(int node) => _nodes[node].Key;

    /// <summary>Adds a node that is in no tree. Among equal keys the order is that of <paramref name="sequence"/>, which is unique.</summary>
    public void Insert(ref int root, int node, long key, long sequence, int work)
    {
        var nodes = _nodes;
        var priority = Priority(sequence);
        ref var link = ref root;
        while (link >= 0 && nodes[link].Priority >= priority)
        {
            ref var at = ref nodes[link];
            at.Sum += work;
            link = ref IsBefore(key, sequence, at) ? ref at.Left : ref at.Right;
        }

        ref var added = ref nodes[node];
        (added.Key, added.Sequence, added.Work, added.Priority) = (key, sequence, work, priority);
        Split(link, key, sequence, out added.Left, out added.Right);
        added.Sum = work + Sum(added.Left) + Sum(added.Right);
        link = node;
    }

    /// <summary>Takes a node out of its tree.</summary>
    public void Remove(ref int root, int node)
    {
        var nodes = _nodes;
        var (key, sequence, work) = (nodes[node].Key, nodes[node].Sequence, nodes[node].Work);
        ref var link = ref root;
        while (link != node)
        {
            ref var at = ref nodes[link];
            at.Sum -= work;
            link = ref IsBefore(key, sequence, at) ? ref at.Left : ref at.Right;
        }

        // Their sums only add up, so both sides can be zipped together from the top.
        var (left, right) = (nodes[node].Left, nodes[node].Right);
        while (left >= 0 && right >= 0)
        {
            if (nodes[left].Priority >= nodes[right].Priority)
            {
                link = left;
                nodes[left].Sum += nodes[right].Sum;
                link = ref nodes[left].Right;
                left = link;
            }
            else
            {
                link = right;
                nodes[right].Sum += nodes[left].Sum;
                link = ref nodes[right].Left;
                right = link;
            }
        }

        link = left >= 0 ? left : right;
    }

    /// <summary>Changes a node's work.</summary>
    public void SetWork(int root, int node, int work)
    {
        var nodes = _nodes;
        var (key, sequence, change) = (nodes[node].Key, nodes[node].Sequence, work - nodes[node].Work);
        nodes[node].Work = work;
        for (var i = root; ; i = IsBefore(key, sequence, nodes[i]) ? nodes[i].Left : nodes[i].Right)
        {
            nodes[i].Sum += change;
            if (i == node)
            {
                return;
            }
        }
    }

    /// <summary>The first node of a tree that is not empty.</summary>
    public int First(int root)
    {
        var nodes = _nodes;
        while (nodes[root].Left >= 0)
        {
            root = nodes[root].Left;
        }

        return root;
    }

    /// <summary>The work of the nodes with at most this key.</summary>
    public long WorkUpTo(int root, long key)
    {
        var nodes = _nodes;
        var sum = 0L;
        while (root >= 0)
        {
            ref var at = ref nodes[root];
            if (at.Key <= key)
            {
                sum += at.Work + Sum(at.Left);
                root = at.Right;
            }
            else
            {
                root = at.Left;
            }
        }

        return sum;
    }

    /// <summary>The last nodes with at most this key, the last one first.</summary>
    /// <param name="root">The tree.</param>
    /// <param name="key">The key.</param>
    /// <param name="nodes">They are put here, as many as fit.</param>
    /// <returns>How many they are.</returns>
    public int LastUpTo(int root, long key, Span<int> nodes) => Collect(root, key, nodes, 0);

    private int Collect(int node, long key, Span<int> nodes, int count)
    {
        while (node >= 0 && count < nodes.Length)
        {
            ref var at = ref _nodes[node];
            if (at.Key <= key)
            {
                count = Collect(at.Right, key, nodes, count);
                if (count < nodes.Length)
                {
                    nodes[count++] = node;
                }
            }

            node = at.Left;
        }

        return count;
    }

    private long Sum(int node) => node < 0 ? 0 : _nodes[node].Sum;

    private void Split(int root, long key, long sequence, out int before, out int after)
    {
        if (root < 0)
        {
            before = after = None;
            return;
        }

        ref var at = ref _nodes[root];
        if (IsBefore(key, sequence, at))
        {
            Split(at.Left, key, sequence, out before, out at.Left);
            after = root;
        }
        else
        {
            Split(at.Right, key, sequence, out at.Right, out after);
            before = root;
        }

        at.Sum = at.Work + Sum(at.Left) + Sum(at.Right);
    }

    private static bool IsBefore(long key, long sequence, in Node node) => key < node.Key || (key == node.Key && sequence < node.Sequence);

    // Sequence numbers count up: their bits are mixed (the finaliser of SplitMix64, Steele, Lea, Flood 2014) so that the tree is as if it had grown at random.
    private static uint Priority(long sequence)
    {
        var z = (ulong)sequence * 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return (uint)(z >> 32);
    }

    private struct Node
    {
        public long Key;
        public long Sequence;
        public long Sum;
        public int Work;
        public uint Priority;
        public int Left;
        public int Right;
    }
}
