//! Who joins and who leaves at a refresh: pure, from the members, the positions and a new ranking.
//!
//! At most a share of the members changes. Who holds a position stays. Of the others, those that pass the filters no longer
//! leave first, whether or not somebody takes their place: a universe is never padded. Then those whose rank lies beyond the
//! number asked for leave, the lowest first, as long as somebody better takes their place. A change is a seat whose holder
//! changes; one that falls empty or is filled counts as one.

use market::{Asset, Member};
use recording::LeftOut;
use std::collections::{BTreeMap, BTreeSet};

/// What a refresh does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Turnover {
    /// The members from now on: those that pass in rank order, then those that stay against the ranking.
    pub members: Vec<Member>,
    /// Who joins, best first.
    pub joined: Vec<Member>,
    /// Who leaves, with the reason.
    pub left: Vec<(Asset, String)>,
    /// Who stays although the ranking says otherwise, with the reason.
    pub stayed: Vec<(Asset, String)>,
    /// Who would have joined, had more been allowed to change.
    pub waiting: Vec<Asset>,
    /// Seats that may change.
    pub limit: usize,
}

/// What a refresh is decided on.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// How many were asked for.
    pub asked: u32,
    /// Those that pass every filter, best first, at most `asked`.
    pub ranked: &'a [Member],
    /// Why others do not, as far as it was said.
    pub out: &'a [LeftOut],
    /// Share of `asked` that may change, percent.
    pub change_pct: u32,
}

/// Decides. `held`: assets with a position.
pub fn turnover(current: &[Member], held: &BTreeSet<Asset>, found: Found<'_>) -> Turnover {
    let limit = (u64::from(found.asked) * u64::from(found.change_pct) / 100) as usize;
    let asked = found.asked as usize;
    let ranked = &found.ranked[..found.ranked.len().min(asked)];
    let rank: BTreeMap<Asset, usize> = ranked.iter().enumerate().map(|(i, m)| (m.asset, i)).collect();
    let here: BTreeSet<Asset> = current.iter().map(|m| m.asset).collect();
    let said: BTreeMap<Asset, &LeftOut> = found.out.iter().map(|out| (out.asset, out)).collect();
    let why =
        |asset: Asset| said.get(&asset).map_or("not listed on both venues any more", |out| out.why.as_str());
    let fit = |asset: Asset| said.get(&asset).is_some_and(|out| out.fits);
    let newcomers: Vec<&Member> = ranked.iter().filter(|m| !here.contains(&m.asset)).collect();
    // The last of the members first: the order of the members is that of the last ranking.
    let off: Vec<Asset> =
        current.iter().rev().map(|m| m.asset).filter(|asset| !rank.contains_key(asset)).collect();
    let free = |asset: &&Asset| !held.contains(asset);
    let unfit = off.iter().filter(|asset| !fit(**asset)).filter(free);
    let mut left: Vec<Asset> = unfit.take(limit).copied().collect();
    // Seats that are empty, or fall empty, are filled first; only then does somebody fit make place.
    let empty = asked.saturating_sub(current.len() - left.len());
    let mut joining = empty.min(newcomers.len()).min(limit);
    for asset in off.iter().filter(|asset| fit(**asset)).filter(free) {
        if joining >= limit || joining >= newcomers.len() || left.len() >= limit {
            break;
        }
        left.push(*asset);
        joining += 1;
    }
    let joined: Vec<Member> = newcomers.iter().take(joining).map(|m| (*m).clone()).collect();
    let stays = |asset: &Asset| !left.contains(asset);
    let mut members: Vec<Member> = ranked
        .iter()
        .filter(|m| here.contains(&m.asset) || joined.iter().any(|j| j.asset == m.asset))
        .cloned()
        .collect();
    let kept = current.iter().filter(|m| !rank.contains_key(&m.asset) && stays(&m.asset));
    let mut stayed = Vec::new();
    for member in kept {
        let asset = member.asset;
        let because = if held.contains(&asset) { "it holds a position" } else { "enough have changed" };
        stayed.push((asset, format!("{}; it stays: {because}", why(asset))));
        members.push(member.clone());
    }
    Turnover {
        members,
        waiting: newcomers.iter().skip(joining).map(|m| m.asset).collect(),
        joined,
        left: left.into_iter().map(|asset| (asset, why(asset).to_owned())).collect(),
        stayed,
        limit,
    }
}
