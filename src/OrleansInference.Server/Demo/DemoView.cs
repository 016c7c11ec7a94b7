using System.Globalization;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace OrleansInference.Demo;

/// <summary>How far the demo is.</summary>
/// <param name="Stage">What it does now.</param>
/// <param name="Share">Share of the replay that is done, 0..1.</param>
/// <param name="Left">Wall time left; null where it is not known.</param>
internal readonly record struct DemoProgress(string Stage, double Share, TimeSpan? Left);

/// <summary>Shows the demo as it runs: a live table on a terminal, plain lines elsewhere.</summary>
internal sealed class DemoView
{
    private readonly IAnsiConsole _console;

    public DemoView(IAnsiConsole console)
    {
        _console = console;
        if (!IsTerminal)
        {
            // Nothing is known of the width of what is no terminal; cut lines would be worse than long ones.
            console.Profile.Width = 1000;
        }
    }

    private static readonly TimeSpan FrameEvery = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan LineEvery = TimeSpan.FromSeconds(5);
    private const int BarWidth = 40;

    private bool IsTerminal => _console.Profile.Out.IsTerminal && _console.Profile.Capabilities.Ansi;

    /// <summary>A line of text.</summary>
    public void Say(string text) => _console.WriteLine(text);

    /// <summary>Shows progress and figures until <paramref name="work"/> has ended, then the last figures once more.</summary>
    public async Task ShowAsync(Task work, Func<DemoProgress> progress, Func<CancellationToken, Task<DemoFigures>> read, CancellationToken cancellationToken)
    {
        if (!IsTerminal)
        {
            await LinesAsync(work, progress, read, cancellationToken);
            return;
        }

        await _console.Live(new Text("")).AutoClear(true).StartAsync(async live =>
        {
            do
            {
                live.UpdateTarget(Frame(progress(), await read(cancellationToken)));
                await Task.WhenAny(work, Task.Delay(FrameEvery, cancellationToken));
            }
            while (!work.IsCompleted && !cancellationToken.IsCancellationRequested);
        });
        await work;
    }

    /// <summary>The tables, once.</summary>
    public void Show(DemoFigures figures)
    {
        _console.Write(DemoTables.All(figures));
        _console.WriteLine();
    }

    private async Task LinesAsync(Task work, Func<DemoProgress> progress, Func<CancellationToken, Task<DemoFigures>> read, CancellationToken cancellationToken)
    {
        while (!work.IsCompleted)
        {
            await Task.WhenAny(work, Task.Delay(LineEvery, cancellationToken));
            cancellationToken.ThrowIfCancellationRequested();
            var now = progress();
            var left = now.Left is { } time ? Invariant($", {Math.Ceiling(time.TotalSeconds)} s left") : "";
            _console.WriteLine(Invariant($"[{now.Share * 100:0}%{left}] {now.Stage}: {DemoTables.Line(await read(cancellationToken))}"));
        }

        await work;
    }

    private static Rows Frame(DemoProgress progress, DemoFigures figures)
    {
        var done = (int)Math.Round(Math.Clamp(progress.Share, 0, 1) * BarWidth);
        var left = progress.Left is { } time ? Invariant($"{Math.Ceiling(time.TotalSeconds)} s left") : "";
        var bar = new Markup(Invariant($"[green]{new string('━', done)}[/][grey]{new string('━', BarWidth - done)}[/] {progress.Share * 100:0} %  {left}  [bold]{Markup.Escape(progress.Stage)}[/]"));
        IRenderable[] parts = [bar, DemoTables.All(figures)];
        return new(parts);
    }

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
