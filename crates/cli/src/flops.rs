//! `tcvit flops`

use clap::Args;
use serde_json::json;
use tcvit::condensation::Condensation;
use tcvit::cost::{Cost, condensation_cost};
use tcvit::low_level::plan::Plan;
use tcvit::{Result, VitConfig};

use crate::options::{CondenseOptions, ModelOptions};
use crate::output::{describe, print, print_json};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    condense: CondenseOptions,
    /// Print Tables 7 and 8 of the TC-ViT paper (DeiT-Tiny), with the numbers of this program beside the paper's.
    #[arg(long, conflicts_with_all = ["model", "drop", "schedule", "order"])]
    paper: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<bool> {
    if arguments.paper {
        paper(arguments)?
    } else {
        model(arguments)?
    }
    Ok(true)
}

fn giga(count: u64) -> f64 {
    count as f64 / 1e9
}

fn model(arguments: &Arguments) -> Result<()> {
    let config = arguments.model.config()?;
    let full = Cost::of(&Plan::new(&config, None)?);
    let condensation = arguments.condense.condensation(&arguments.model)?;
    let plan = Plan::new(&config, condensation.as_ref())?;
    let cost = Cost::of(&plan);
    if arguments.json {
        let blocks: Vec<_> =
            plan.blocks.iter().map(|block| json!({ "patches": block.patches, "dropped": block.dropped })).collect();
        return print_json(&json!({
            "model": arguments.model.name(),
            "condensation": describe(&plan),
            "blocks": blocks,
            "full": full.total(),
            "condensed": cost.total(),
            "condensed_as_the_paper_counts": cost.paper_total(),
            "parts": { "embed": cost.embed, "attention": cost.attention, "mlp": cost.mlp, "head": cost.head,
                       "condensation": cost.connectivity },
        }));
    }
    let mut out = format!("{}, {}\n\n", arguments.model.name(), describe(&plan));
    out += "block  patch tokens   attention        MLP   condense   (GMACs)\n";
    let (d, f, e) = (config.width as u64, config.mlp as u64, config.prefix() as u64);
    for (index, block) in plan.blocks.iter().enumerate() {
        let (before, after) = (e + block.patches as u64, e + block.kept() as u64);
        let condense = match plan.condensation.as_ref().filter(|_| block.dropped > 0) {
            Some(condensation) => condensation_cost(&plan, block, condensation),
            None => 0,
        };
        out += &format!(
            "{index:5}  {:5} > {:4}  {:10.4} {:10.4} {:10.4}\n",
            block.patches,
            block.kept(),
            giga(4 * before * d * d + 2 * before * before * d),
            giga(2 * after * d * f),
            giga(condense)
        );
    }
    out += &format!(
        "\nembed {:.4}, attention {:.4}, MLP {:.4}, head {:.4}, condensation {:.4}\n",
        giga(cost.embed),
        giga(cost.attention),
        giga(cost.mlp),
        giga(cost.head),
        giga(cost.connectivity)
    );
    out += &format!("full       {:8.4} GMACs\n", giga(full.total()));
    let ratio = full.total() as f64 / cost.total() as f64;
    out += &format!("condensed  {:8.4} GMACs, {ratio:.2} times fewer\n", giga(cost.total()));
    print(&out)
}

/// One table of the paper: the variable, its published numbers, and the condensation of each row.
struct Table {
    title: &'static str,
    variable: &'static str,
    rows: &'static [(u32, f64)],
    condensation: fn(u32) -> Condensation,
}

const TABLES: [Table; 2] = [
    Table {
        title: "Table 7: dropped tokens, K = 2",
        variable: "R",
        rows: &[(8, 0.97), (10, 0.89), (12, 0.81), (14, 0.73), (16, 0.65)],
        condensation: |r| Condensation::paper().drop_per_block(r as usize),
    },
    Table {
        title: "Table 8: connectivity order, R = 14",
        variable: "K",
        rows: &[(1, 0.69), (2, 0.73), (4, 0.76), (8, 0.79), (32, 0.85)],
        condensation: |order| {
            let mut condensation = Condensation::paper().drop_per_block(14);
            condensation.order = order;
            condensation
        },
    },
];

fn paper(arguments: &Arguments) -> Result<()> {
    let config = VitConfig::preset("deit_tiny")?;
    let mut out = String::from("DeiT-Tiny, GMACs. \"model\" counts like the paper, N^3 for each dense squaring.\n");
    out += "\"thin\" counts what tcvit runs: only the rows and sums of C that it uses.\n";
    let mut json = Vec::new();
    for table in TABLES {
        out += &format!("\n{}\n{:>4}  paper  model   thin   condensing alone, thin\n", table.title, table.variable);
        for &(value, published) in table.rows {
            let plan = Plan::new(&config, Some(&(table.condensation)(value)))?;
            let cost = Cost::of(&plan);
            out += &format!(
                "{value:4}  {published:5.2} {:6.2} {:6.2}   {:.4}\n",
                giga(cost.paper_total()),
                giga(cost.total()),
                giga(cost.connectivity)
            );
            json.push(json!({
                "table": table.title, table.variable: value, "paper": published,
                "model": giga(cost.paper_total()), "thin": giga(cost.total()),
            }));
        }
    }
    if arguments.json { print_json(&json) } else { print(&out) }
}
