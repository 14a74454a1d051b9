//! What the events of a request have in common, and what each adds of its own.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use mercurio_domain::enrichment::Enrichment;
use mercurio_domain::event::{EnrichedEvent, EnrichmentJson, ValidEvent};

use crate::context::Context;
use crate::page::PageUrl;
use crate::user_agent::{Agent, UserAgents};

/// The enrichment of a request: made once, and shared by all of its events whose context adds nothing.
pub struct RequestEnrichment {
    common: Enrichment,
    json: EnrichmentJson,
    agent: Option<Arc<Agent>>,
    user_agents: UserAgents,
    /// The last context that added something, and the result: the events of a batch are mostly of one page.
    last: Mutex<Option<(Context<'static>, EnrichmentJson)>>,
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

    /// Makes an enriched event of a valid one.
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
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seen, json)) = &*last
            && *seen == context
        {
            return json.clone();
        }
        let own = self.with(&context);
        let json = if own == self.common { self.json.clone() } else { EnrichmentJson::of(&own) };
        *last = Some((context.into_owned(), json.clone()));
        json
    }

    /// The steps that need the context.
    fn with(&self, context: &Context<'_>) -> Enrichment {
        let mut own = self.common.clone();
        if let Some(text) = &context.user_agent {
            let agent = self.user_agents.parse(text);
            if self.agent.as_ref() != Some(&agent) {
                agent.describe(&mut own);
            }
        }
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
