//! The enrichment of one request: a common part, and the part of each event's context.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use mercurio_domain::enrichment::Enrichment;
use mercurio_domain::event::{EnrichedEvent, EnrichmentJson, ValidEvent};

use crate::context::Context;
use crate::page::PageUrl;
use crate::user_agent::{Agent, UserAgents};

/// The enrichment of a request, shared by all of its events whose context adds nothing.
pub struct RequestEnrichment {
    common: Enrichment,
    json: EnrichmentJson,
    agent: Option<Arc<Agent>>,
    user_agents: UserAgents,
    /// The last context that added something: most events of a batch are from one page.
    last: Mutex<Option<ContextResult>>,
}

struct ContextResult {
    context: Context<'static>,
    json: EnrichmentJson,
}

impl RequestEnrichment {
    pub(crate) fn new(
        common: Enrichment,
        agent: Option<Arc<Agent>>,
        user_agents: UserAgents,
    ) -> Self {
        let json = EnrichmentJson::of(&common);
        Self { common, json, agent, user_agents, last: Mutex::new(None) }
    }

    /// Enriches one event.
    #[must_use]
    pub fn enrich(&self, event: ValidEvent) -> EnrichedEvent {
        let json = match event.context() {
            Some(context) => self.json_with(Context::read(context.as_str())),
            None => self.json.clone(),
        };
        EnrichedEvent::new(event, json)
    }

    fn json_with(&self, context: Context<'_>) -> EnrichmentJson {
        if context.user_agent.is_none() && context.page_url.is_none() {
            return self.json.clone();
        }
        // A panic elsewhere leaves a whole result behind, so a poisoned lock is harmless.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && last.context == context
        {
            return last.json.clone();
        }
        let own = self.with(&context);
        // Events without a difference share one text.
        let json = if own == self.common { self.json.clone() } else { EnrichmentJson::of(&own) };
        *last = Some(ContextResult { context: context.into_owned(), json: json.clone() });
        json
    }

    /// Runs the steps that need the context.
    fn with(&self, context: &Context<'_>) -> Enrichment {
        let mut own = self.common.clone();
        if let Some(text) = &context.user_agent {
            let agent = self.user_agents.parse(text);
            // Most contexts repeat the header.
            if self.agent.as_ref() != Some(&agent) {
                agent.describe(&mut own);
            }
        }
        // Without a missing member, the cost of parsing the URL is saved.
        let url =
            context.page_url.as_deref().filter(|_| !(context.has_path && context.has_campaign));
        if let Some(url) = url.and_then(PageUrl::parse) {
            own.page = (!context.has_path).then(|| url.page());
            own.campaign = if context.has_campaign { None } else { url.campaign() };
        }
        own
    }
}

impl fmt::Debug for RequestEnrichment {
    /// Only lengths: addresses stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RequestEnrichment({:?})", self.json)
    }
}
