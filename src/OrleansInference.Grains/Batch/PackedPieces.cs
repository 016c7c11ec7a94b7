using System.IO.Compression;
using System.Text;

namespace OrleansInference.Batch;

/// <summary>
/// The pieces of a batch in few bytes, for one that has many: where single records fail all over it, it has nearly as many pieces as records, and as text they are more than a store takes.
/// Where a piece begins follows from those before it, and mostly so do round and index. Of the charges the sum is kept, which is all that is made of them.
/// </summary>
internal static class PackedPieces
{
    /// <summary>Most different reasons of failure that are kept; the rest share <see cref="OtherReason"/>.</summary>
    public const int MostReasons = 64;

    /// <summary>What is said of failures whose own reason is not kept.</summary>
    public const string OtherReason = "The record failed for one of more reasons than are kept of a batch.";

    private const int MostReasonLength = 1_024;
    private const int KindMask = 3;
    private const int Open = 0;
    private const int Done = 1;
    private const int Failed = 2;
    private const int NextSource = 4;
    private const int One = 8;
    private const int AsBefore = 16;

    /// <summary>Packs pieces in the order of the records.</summary>
    /// <exception cref="InvalidOperationException">They do not follow each other without a gap.</exception>
    public static byte[] Pack(IReadOnlyList<BatchPiece> pieces)
    {
        ArgumentNullException.ThrowIfNull(pieces);
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.Optimal, leaveOpen: true))
        using (var writer = new BinaryWriter(gzip, Encoding.UTF8))
        {
            var reasons = ReasonsOf(pieces);
            writer.Write7BitEncodedInt(reasons.Count);
            foreach (var reason in reasons.Keys)
            {
                writer.Write(reason);
            }

            writer.Write7BitEncodedInt64(pieces.Sum(static piece => piece.Charge));
            writer.Write7BitEncodedInt(pieces.Count);
            var at = new Position();
            foreach (var piece in pieces)
            {
                Write(writer, piece, at, reasons);
            }
        }

        return packed.ToArray();
    }

    /// <summary>Unpacks pieces. The first one with answers has the sum of all charges.</summary>
    public static IReadOnlyList<BatchPiece> Unpack(byte[] packed)
    {
        ArgumentNullException.ThrowIfNull(packed);
        using var gzip = new GZipStream(new MemoryStream(packed, writable: false), CompressionMode.Decompress);
        using var reader = new BinaryReader(gzip, Encoding.UTF8);
        var reasons = new string[reader.Read7BitEncodedInt()];
        for (var i = 0; i < reasons.Length; i++)
        {
            reasons[i] = reader.ReadString();
        }

        var charge = reader.Read7BitEncodedInt64();
        var pieces = new List<BatchPiece>(reader.Read7BitEncodedInt());
        var at = new Position();
        for (var i = pieces.Capacity; i > 0; i--)
        {
            var piece = Read(reader, at, reasons);
            (piece, charge) = piece.IsDone ? (piece with { Charge = charge }, 0) : (piece, charge);
            pieces.Add(piece);
        }

        return pieces;
    }

    private static Dictionary<string, int> ReasonsOf(IReadOnlyList<BatchPiece> pieces)
    {
        var reasons = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var piece in pieces)
        {
            if (piece.Failure is { } failure)
            {
                var kept = Kept(failure);
                reasons.TryAdd(reasons.Count < MostReasons - 1 || reasons.ContainsKey(kept) ? kept : OtherReason, reasons.Count);
            }
        }

        return reasons;
    }

    private static string Kept(string reason) => reason.Length <= MostReasonLength ? reason : reason[..MostReasonLength];

    private static void Write(BinaryWriter writer, BatchPiece piece, Position at, Dictionary<string, int> reasons)
    {
        var isNext = piece.Source == at.Source + 1 && piece.First == 0;
        if (!isNext && (piece.Source != at.Source || piece.First != at.First))
        {
            throw new InvalidOperationException($"Piece {piece.Source}/{piece.First} does not follow {at.Source}/{at.First}.");
        }

        var isAsBefore = piece.IsDone && piece.Round == at.Round && piece.Index == at.IndexIn(piece.Round);
        var kind = piece.IsDone ? Done : piece.Failure is null ? Open : Failed;
        writer.Write((byte)(kind | (isNext ? NextSource : 0) | (piece.Count == 1 ? One : 0) | (isAsBefore ? AsBefore : 0)));
        if (piece.Count != 1)
        {
            writer.Write7BitEncodedInt(piece.Count);
        }

        if (kind == Failed)
        {
            writer.Write7BitEncodedInt(reasons.TryGetValue(Kept(piece.Failure!), out var index) ? index : reasons[OtherReason]);
        }
        else if (kind == Done && !isAsBefore)
        {
            // The objects of a round that failed have an index too, so it jumps, but by little.
            writer.Write7BitEncodedInt(piece.Round);
            writer.Write7BitEncodedInt(piece.Index - at.IndexIn(piece.Round));
        }

        at.Take(piece);
    }

    private static BatchPiece Read(BinaryReader reader, Position at, string[] reasons)
    {
        var head = reader.ReadByte();
        var isNext = (head & NextSource) != 0;
        var piece = new BatchPiece
        {
            Source = isNext ? at.Source + 1 : at.Source,
            First = isNext ? 0 : at.First,
            Count = (head & One) != 0 ? 1 : reader.Read7BitEncodedInt(),
        };
        piece = (head & KindMask) switch
        {
            Open => piece,
            Failed => piece with { Failure = reasons[reader.Read7BitEncodedInt()] },
            Done when (head & AsBefore) != 0 => piece with { IsDone = true, Round = at.Round, Index = at.IndexIn(at.Round) },
            Done when reader.Read7BitEncodedInt() is var round => piece with { IsDone = true, Round = round, Index = at.IndexIn(round) + reader.Read7BitEncodedInt() },
            _ => throw new InvalidDataException("The pieces of a batch are damaged."),
        };
        at.Take(piece);
        return piece;
    }

    /// <summary>Where the next piece is expected, and with which index if it has answers.</summary>
    private sealed class Position
    {
        private readonly Dictionary<int, int> _next = [];

        public int Source { get; private set; } = -1;

        public int First { get; private set; }

        public int Round { get; private set; }

        public int IndexIn(int round) => _next.GetValueOrDefault(round);

        public void Take(BatchPiece piece)
        {
            (Source, First) = (piece.Source, piece.First + piece.Count);
            if (piece.IsDone)
            {
                Round = piece.Round;
                _next[piece.Round] = piece.Index + 1;
            }
        }
    }
}
