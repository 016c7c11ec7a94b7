namespace OrleansInference.Simulator.Reporting;

/// <summary>How the report looks. Colours are those of Okabe and Ito, which people who see few colours tell apart (Color universal design, 2008).</summary>
internal static class ReportStyle
{
    /// <summary>The style sheet.</summary>
    public const string Sheet = """
        :root{color-scheme:light dark;--paper:#fff;--card:#f6f7f9;--ink:#1b1f24;--soft:#59636e;--grid:#dfe3e8;--blue:#0072b2;--orange:#e69f00;--green:#009e73;--red:#c44e00;--purple:#b8629a;--used:#9ccbe8}
        @media (prefers-color-scheme:dark){:root{--paper:#14171b;--card:#1d2126;--ink:#e8ebee;--soft:#a3adb8;--grid:#333a42;--blue:#4aa8dc;--orange:#f0b429;--green:#2fc397;--red:#f2854a;--purple:#d891bd;--used:#28597a}}
        *{box-sizing:border-box}
        body{margin:0;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
        main{max-width:1320px;margin:0 auto;padding:32px 24px 64px}
        h1{font-size:28px;line-height:1.2;margin:0 0 6px}h2{font-size:20px;margin:44px 0 4px}h3{font-size:15px;margin:18px 0 2px}
        p{margin:4px 0 12px;max-width:110ch}.lead,.note{color:var(--soft)}.note{font-size:13.5px}
        nav{font-size:13.5px;margin:14px 0 0;display:flex;flex-wrap:wrap;gap:4px 16px}a{color:var(--blue)}
        figure{margin:8px 0;padding:14px 12px 8px;background:var(--card);border-radius:10px;overflow-x:auto}
        svg{display:block;width:100%;min-width:720px;height:auto}.small-multiples{display:grid;grid-template-columns:repeat(auto-fill,minmax(330px,1fr));gap:10px}.small-multiples svg{min-width:0}.small-multiples figure{margin:0}
        .wide{overflow-x:auto;background:var(--card);border-radius:10px;padding:6px 10px}
        table{border-collapse:collapse;width:100%;font-size:12.5px;font-variant-numeric:tabular-nums}
        th,td{padding:5px 5px;text-align:right;white-space:nowrap}th{font-weight:600}thead th{color:var(--soft);font-weight:500;vertical-align:bottom;white-space:normal}tbody tr{border-top:1px solid var(--grid)}
        th:first-child{text-align:left}thead tr+tr th:first-child{text-align:right}.group{text-align:center;border-bottom:1px solid var(--grid)}.first{padding-left:12px}.best{font-weight:700}.miss{color:var(--red)}.miss::after{content:" ▼"}td[data-figure^="attainment"]:not(.miss)::after{content:" ▼";visibility:hidden}
        fieldset{border:0;padding:0;margin:10px 0 0;display:flex;flex-wrap:wrap;gap:6px;align-items:center}legend{float:left;padding:0;margin-right:8px;color:var(--soft);font-size:13.5px;min-width:52px}
        .pick{display:inline-flex;gap:6px;align-items:center;padding:2px 11px;border:1px solid var(--grid);border-radius:99px;font-size:13.5px;cursor:pointer}.pick:has(:checked){border-color:var(--blue);background:var(--card);font-weight:600}.pick input{margin:0;accent-color:var(--blue)}.pick:focus-within{outline:2px solid var(--blue)}
        dl{margin:8px 0}dt{font-weight:600;margin-top:12px}dd{margin:0 0 0 16px;max-width:100ch}dd.how{color:var(--soft);font-size:13.5px;white-space:pre-line}
        pre{background:var(--card);border-radius:10px;padding:12px 14px;overflow-x:auto;font:13px/1.5 ui-monospace,Consolas,Menlo,monospace;white-space:pre-wrap;overflow-wrap:anywhere}
        .t{font-size:12px;fill:var(--soft)}.small{font-size:10.5px}.name{fill:var(--ink)}.head{fill:var(--ink);font-weight:600;font-size:13px}.middle{text-anchor:middle}.end{text-anchor:end}.halo{paint-order:stroke;stroke:var(--card);stroke-width:4px;stroke-linejoin:round}
        .grid{stroke:var(--grid)}.axis{stroke:var(--soft)}.bar{fill:var(--blue)}.bound{stroke:var(--red);stroke-width:2;stroke-dasharray:6 4}.boundtext{fill:var(--red);font-weight:600}
        .lane0{fill:var(--blue)}.lane1{fill:var(--orange)}.lane2{fill:var(--green)}.lane3{fill:var(--purple)}.onlane0,.onlane1,.onlane2,.onlane3{fill:#fff}.onlane1{fill:#1b1f24}
        @media (prefers-color-scheme:dark){.onlane0,.onlane1,.onlane2,.onlane3{fill:#14171b}}
        .target{stroke:var(--green);stroke-width:2;stroke-dasharray:6 4}.targettext{fill:var(--green);font-weight:600}.stem{stroke:var(--grid);stroke-width:2}.met{fill:var(--blue);stroke:var(--blue);stroke-width:2}.missedtext{fill:var(--red)}.missed{fill:var(--card);stroke:var(--red);stroke-width:2.5}
        .capacity{fill:none;stroke:var(--ink);stroke-width:1.4}.used{fill:var(--used)}.queue{fill:var(--red)}.band{fill:transparent}.band:hover{fill:var(--soft);fill-opacity:.14}
        .class0,.class1,.class2{fill:none;stroke-width:2.2}.class0{stroke:var(--red)}.class1{stroke:var(--blue);stroke-dasharray:8 3}.class2{stroke:var(--green);stroke-dasharray:3 2.5}.classtext0{fill:var(--red)}.classtext1{fill:var(--blue)}.classtext2{fill:var(--green)}.classtext0,.classtext1,.classtext2{font-weight:600}
        """;
}
