//! `larder versions sha256:HEX`

use super::super::table::{Column, Table, TableArgs, moment, text};
use super::super::{CliError, Context, output};
use crate::client::Client;
use crate::domain::Digest;
use crate::wire::limits;

/// Lists the versions that hold a manifest.
pub(super) async fn list(
    client: &Client,
    digest: Digest,
    limit: usize,
    table: TableArgs,
    context: &Context,
) -> Result<(), CliError> {
    let page = |wanted: usize| wanted.min(limits::MAX_HOLDERS);
    let mut found = client.holders(digest, None, page(limit)).await?;
    while let Some(after) = found.next.clone()
        && found.held_by.len() < limit
    {
        let more = client.holders(digest, Some(&after), page(limit - found.held_by.len())).await?;
        // A server that keeps repeating the same page must not cause an endless loop.
        found.next = more.next.filter(|next| *next != after);
        found.held_by.extend(more.held_by);
    }
    if context.json {
        return output::json(&found);
    }
    let mut rows = Table::new(&[
        Column::whole("VERSION"),
        Column::whole("STATE"),
        Column::time("PUBLISHED (UTC)"),
        Column::text("BY", 12).optional(1),
        Column::text("LABEL", 12),
    ]);
    for holder in &found.held_by {
        let yanked = if holder.yanked.is_some() { " yanked" } else { "" };
        rows.add([
            format!("{}@{}", holder.name, holder.number),
            format!("{}{yanked}", holder.state),
            moment(holder.published_at),
            text(Some(&holder.created_by.to_string())),
            text(holder.label.as_deref()),
        ]);
    }
    output::line(rows.fitted(table.width()))?;
    if found.next.is_some() {
        output::note("there are more versions; use --all or --limit N to see them");
    }
    Ok(())
}
