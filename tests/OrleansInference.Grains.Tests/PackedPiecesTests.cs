using OrleansInference.Batch;

namespace OrleansInference.Tests;

public sealed class PackedPiecesTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Pieces_come_back_as_they_were_and_their_charges_as_one_sum(int seed)
    {
        var random = new Random(seed);
        var pieces = Random(random, objects: 300);

        var back = PackedPieces.Unpack(PackedPieces.Pack(pieces));

        Assert.Equal(pieces.Select(static piece => piece with { Charge = 0 }), back.Select(static piece => piece with { Charge = 0 }));
        Assert.Equal(pieces.Sum(static piece => piece.Charge), back.Sum(static piece => piece.Charge));
        Assert.All(back, static piece => Assert.True(piece.IsDone || piece.Charge == 0));

        // And once more, as after each of a batch's steps.
        Assert.Equal(back, PackedPieces.Unpack(PackedPieces.Pack(back)));
    }

    [Fact]
    public void Nothing_and_a_single_piece_come_back()
    {
        Assert.Empty(PackedPieces.Unpack(PackedPieces.Pack([])));
        BatchPiece[] one = [new() { Source = 0, First = 0, Count = 64, IsDone = true, Round = 5, Index = 1_562, Charge = long.MaxValue }];
        Assert.Equal(one, PackedPieces.Unpack(PackedPieces.Pack(one)));
    }

    [Fact]
    public void More_reasons_than_are_kept_share_one_and_long_ones_are_cut()
    {
        var pieces = Enumerable.Range(0, 1_000).Select(static i => new BatchPiece { Source = i, First = 0, Count = 1, Failure = i == 0 ? new string('x', 5_000) : $"reason {i}" }).ToList();

        var back = PackedPieces.Unpack(PackedPieces.Pack(pieces));

        Assert.Equal(1_024, back[0].Failure!.Length);
        Assert.Equal(["reason 1", "reason 62", PackedPieces.OtherReason, PackedPieces.OtherReason], new[] { 1, 62, 63, 999 }.Select(i => back[i].Failure));
        Assert.Equal(PackedPieces.MostReasons, back.Select(static piece => piece.Failure).Distinct().Count());
    }

    [Fact]
    public void Pieces_with_a_gap_are_refused() =>
        Assert.Throws<InvalidOperationException>(static () => PackedPieces.Pack([new() { Source = 0, First = 0, Count = 2 }, new() { Source = 0, First = 3, Count = 1 }]));

    private static List<BatchPiece> Random(Random random, int objects)
    {
        List<BatchPiece> pieces = [];
        var index = new int[6];
        for (var source = 0; source < objects; source++)
        {
            for (var first = 0; first < 64;)
            {
                var count = Math.Min(64 - first, random.Next(3) == 0 ? random.Next(1, 65) : 1);
                var (round, piece) = (random.Next(6), new BatchPiece { Source = source, First = first, Count = count });
                index[round] += random.Next(3);
                pieces.Add(random.Next(3) switch
                {
                    0 => piece,
                    1 => piece with { Failure = $"reason {random.Next(5)}" },
                    _ => piece with { IsDone = true, Round = round, Index = index[round]++, Charge = random.NextInt64(1_000_000_000) },
                });
                first += count;
            }
        }

        return pieces;
    }
}
