using System.Globalization;
using System.Net;
using System.Text;

namespace OrleansInference.Simulator.Reporting;

/// <summary>A drawing, put together mark by mark. What is drawn looks as the style sheet says of its class; all text is escaped here.</summary>
internal sealed class Svg
{
    private readonly StringBuilder _text = new();

    /// <summary>An empty drawing.</summary>
    /// <param name="width">Its width, in units that the page scales.</param>
    /// <param name="height">Its height.</param>
    /// <param name="label">What it shows, for those who cannot see it.</param>
    public Svg(double width, double height, string label) =>
        _text.Append(CultureInfo.InvariantCulture, $"<svg viewBox=\"0 0 {At(width)} {At(height)}\" role=\"img\" aria-label=\"{Escape(label)}\">");

    /// <summary>Text as it stands in a page.</summary>
    public static string Escape(string text) => WebUtility.HtmlEncode(text);

    /// <summary>A coordinate, to a tenth.</summary>
    public static string At(double value) => value.ToString("0.#", CultureInfo.InvariantCulture);

    /// <summary>A straight line.</summary>
    public void Line(double x1, double y1, double x2, double y2, string style, string? title = null) =>
        Mark($"line class=\"{style}\" x1=\"{At(x1)}\" y1=\"{At(y1)}\" x2=\"{At(x2)}\" y2=\"{At(y2)}\"", "line", title);

    /// <summary>A rectangle.</summary>
    public void Box(double x, double y, double width, double height, string style, string? title = null) =>
        Mark($"rect class=\"{style}\" x=\"{At(x)}\" y=\"{At(y)}\" width=\"{At(Math.Max(0, width))}\" height=\"{At(height)}\"", "rect", title);

    /// <summary>A dot.</summary>
    public void Dot(double x, double y, double radius, string style, string? title = null) =>
        Mark($"circle class=\"{style}\" cx=\"{At(x)}\" cy=\"{At(y)}\" r=\"{At(radius)}\"", "circle", title);

    /// <summary>A path in the words of SVG.</summary>
    public void Path(string commands, string style, string? title = null) => Mark($"path class=\"{style}\" d=\"{commands}\"", "path", title);

    /// <summary>Text whose base line begins at a place; <paramref name="style"/> may say that it ends or has its middle there.</summary>
    public void Text(double x, double y, string text, string style = "t", string? title = null) =>
        _text.Append(CultureInfo.InvariantCulture, $"<text class=\"{style}\" x=\"{At(x)}\" y=\"{At(y)}\">{(title is null ? "" : $"<title>{Escape(title)}</title>")}{Escape(text)}</text>");

    /// <inheritdoc/>
    public override string ToString() => _text + "</svg>";

    private void Mark(string open, string name, string? title) =>
        _text.Append('<').Append(open).Append(title is null ? "/>" : $"><title>{Escape(title)}</title></{name}>");
}
