//! Rejections in memory.

use super::MemoryStore;
use crate::clock::Timestamp;
use crate::ids::{EventKey, Owner};
use crate::store::{
    Position, RejectionBatch, RejectionCountQuery, RejectionPage, RejectionQuery, RejectionTotal,
    Rejections, StoreError,
};

impl Rejections for MemoryStore {
    fn record_rejections(&self, batch: &RejectionBatch) -> Result<(), StoreError> {
        self.rejections_gate.pass();
        self.refuse_names(batch.events.iter().filter_map(|event| event.event_name.as_deref()))?;
        let mut state = self.available()?;
        state.rejected.extend(batch.events.iter().cloned());
        for (group, count) in &batch.counts {
            let sum = state.rejection_counts.entry(group.clone()).or_default();
            sum.rejected += count.rejected;
            sum.example = sum.example.or(count.example);
        }
        Ok(())
    }

    fn rejections(
        &self,
        owner: Owner,
        query: &RejectionQuery,
    ) -> Result<RejectionPage, StoreError> {
        let state = self.readable()?;
        let mut found: Vec<_> = state
            .rejected
            .iter()
            .map(|event| {
                (Position { occurred_at: event.received_at, key: EventKey(event.id) }, event)
            })
            .filter(|(position, event)| {
                event.owner == owner
                    && query.after.is_none_or(|after| *position < after)
                    && query.from.is_none_or(|from| from <= event.received_at)
                    && query.to.is_none_or(|to| event.received_at < to)
                    && query
                        .code
                        .is_none_or(|code| event.errors.iter().any(|error| error.code == code))
                    && (query.event_name.is_none() || query.event_name == event.event_name)
            })
            .collect();
        found.sort_by_key(|(position, _)| std::cmp::Reverse(*position));
        let has_more = found.len() > query.limit;
        found.truncate(query.limit);
        let next = found.last().map(|(position, _)| *position).filter(|_| has_more);
        Ok(RejectionPage {
            events: found.into_iter().map(|(_, event)| event.clone()).collect(),
            next,
        })
    }

    fn rejection_totals(
        &self,
        owner: Owner,
        query: &RejectionCountQuery,
    ) -> Result<Vec<RejectionTotal>, StoreError> {
        let state = self.readable()?;
        let mut totals: Vec<RejectionTotal> = Vec::new();
        for (group, count) in &state.rejection_counts {
            if group.owner != owner || group.hour < query.from || group.hour >= query.to {
                continue;
            }
            let same = totals.iter_mut().find(|total| {
                total.kind == group.kind
                    && total.code == group.code
                    && total.pointer == group.pointer
                    && total.event_name == group.event_name
            });
            let example = state.rejected.iter().find(|event| Some(event.id) == count.example);
            match same {
                Some(total) => {
                    total.rejected += count.rejected;
                    total.last_hour = group.hour;
                    total.example = example.cloned().or(total.example.take());
                }
                None => totals.push(RejectionTotal {
                    kind: group.kind,
                    code: group.code.clone(),
                    pointer: group.pointer.clone(),
                    event_name: group.event_name.clone(),
                    rejected: count.rejected,
                    last_hour: group.hour,
                    example: example.cloned(),
                }),
            }
        }
        totals.sort_by_key(|total| (total.kind, std::cmp::Reverse(total.rejected)));
        let mut kept = Vec::new();
        for total in totals {
            let of_kind = kept.iter().filter(|kept: &&RejectionTotal| kept.kind == total.kind);
            if of_kind.count() < query.limit {
                kept.push(total);
            }
        }
        Ok(kept)
    }

    fn expire_rejections(
        &self,
        owner: Option<Owner>,
        before: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut state = self.available()?;
        let kept = state.rejected.len();
        let is_meant = |of: Owner| owner.is_none_or(|owner| owner == of);
        state.rejected.retain(|event| !is_meant(event.owner) || event.received_at >= before);
        state.rejection_counts.retain(|group, _| !is_meant(group.owner) || group.hour >= before);
        Ok((kept - state.rejected.len()) as u64)
    }
}
