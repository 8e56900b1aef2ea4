// The web tier's client in the shape that the database documentation shows: `db.agents.create(...)`
// and so on, each a call of supabase-js.
import { createClient } from '@supabase/supabase-js';
import WebSocket from 'ws';

// Supabase's gateway puts PostgREST under /rest/v1; here it answers by itself.
const straightToPostgrest = (address, options) =>
  fetch(String(address).replace('/rest/v1', ''), options);

// Signed in with the token of a user, or with none as a visitor who has the anonymous key alone.
export function connect({ url, anonKey, token }) {
  const supabase = createClient(url, anonKey, {
    ...(token ? { accessToken: async () => token } : {}),
    auth: { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false },
    realtime: { transport: WebSocket },
    global: { fetch: straightToPostgrest },
  });
  return { supabase, db: shape(supabase) };
}

function shape(supabase) {
  const create = (table) => (row) => supabase.from(table).insert(row).select().single();
  return {
    agents: {
      create: create('agents'),
      getAnalytics: (agent_id, start_date, end_date) =>
        supabase.rpc('get_agent_analytics', { agent_id, start_date, end_date }).single(),
    },
    conversations: {
      create: create('conversations'),
      list: (agent_id, { status, searchTerm, limit, offset } = {}) =>
        supabase.rpc('search_conversations', {
          agent_id, status, search_term: searchTerm, limit, offset,
        }),
      getWithMessages: (conversation_id) =>
        supabase.rpc('get_conversation_with_messages', { conversation_id }),
    },
    messages: { create: create('messages') },
    leads: {
      create: create('leads'),
      update: (id, changes) =>
        supabase.from('leads').update(changes).eq('id', id).select().single(),
    },
    knowledge: {
      createSource: create('knowledge_sources'),
      searchChunks: (agent_id, query_embedding, match_threshold, match_count) =>
        supabase.rpc('match_knowledge_chunks', {
          agent_id, query_embedding, match_threshold, match_count,
        }),
    },
    webhooks: {
      create: create('webhooks'),
      getDeliveries: (webhook_id, limit) =>
        supabase.from('webhook_deliveries').select().eq('webhook_id', webhook_id)
          .order('created_at', { ascending: false }).limit(limit),
    },
  };
}
