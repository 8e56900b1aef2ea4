// What the three kinds of people do: an owner, a visitor of a website, and another customer.

// The examples of the database documentation, one after the other.
export async function ownerWorks({ db, supabase, given: { userId } }) {
  const agent = done(await db.agents.create({
    user_id: userId,
    name: 'Customer Support Bot',
    description: 'Helpful customer support assistant',
    ai_model: 'anthropic/claude-3.5-sonnet',
    temperature: 0.7,
    system_prompt: 'You are a helpful customer support agent...',
    is_published: true,
  }));

  const webhook = done(await db.webhooks.create({
    user_id: userId,
    agent_id: agent.id,
    name: 'Slack Notifications',
    url: 'https://hooks.slack.com/services/...',
    secret: 'webhook_secret_key',
    events: ['conversation.started', 'lead.captured'],
  }));

  const { id: conversationId } = done(await db.conversations.create({
    agent_id: agent.id, visitor_name: 'Jane', visitor_email: 'jane@example.com',
  }));
  done(await db.messages.create({
    conversation_id: conversationId, role: 'user', content: 'I need support, please.',
  }));
  const message = done(await db.messages.create({
    conversation_id: conversationId,
    role: 'assistant',
    content: 'How can I help you today?',
    model: 'anthropic/claude-3.5-sonnet',
    tokens_used: 150,
  }));

  const lead = done(await db.leads.create({
    agent_id: agent.id,
    conversation_id: conversationId,
    name: 'Jane Smith',
    email: 'jane@example.com',
    phone: '+1234567890',
    status: 'new',
    custom_fields: { company: 'Acme Inc', budget: '$10k' },
  }));
  const updatedLead = done(await db.leads.update(lead.id, {
    status: 'contacted',
    notes: 'Discussed requirements, scheduling follow-up',
  }));

  return {
    agent,
    webhook,
    message,
    updatedLead,
    conversations: done(await db.conversations.list(agent.id, {
      status: 'active', searchTerm: 'support', limit: 20,
    })),
    conversation: done(await db.conversations.getWithMessages(conversationId)),
    analytics: done(await db.agents.getAnalytics(agent.id, '2025-01-01', '2099-01-31')),
    deliveries: done(await db.webhooks.getDeliveries(webhook.id, 50)),
    profile: done(await supabase.from('user_profiles').select().single()),
    usage: done(await supabase.rpc('get_current_usage', { user_id: userId }).single()),
    notifications: done(await supabase.from('notifications').select('type')),
    activity: done(await supabase.from('activity_logs').select('action, resource_type')),
    dashboard: done(await supabase.from('agent_dashboard_summary').select().single()),
    counters: done(await supabase.from('agents')
      .select('total_conversations, total_messages, total_leads').eq('id', agent.id).single()),
  };
}

export async function addKnowledge({ db, given: { agentId, content } }) {
  return done(await db.knowledge.createSource({
    agent_id: agentId, name: 'Product Documentation', type: 'text', content,
  }));
}

export async function watchSource({ supabase, given: { sourceId, deadlineSeconds } }) {
  const until = Date.now() + deadlineSeconds * 1000;
  for (;;) {
    const source = done(await supabase.from('knowledge_sources').select().eq('id', sourceId)
      .single());
    if (['completed', 'failed'].includes(source.status) || Date.now() > until) return source;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

export async function searchKnowledge({ db, given: { agentId, queryEmbedding } }) {
  return done(await db.knowledge.searchChunks(agentId, queryEmbedding, 0.1, 5));
}

// What a widget on a public page does with the anonymous key.
export async function visitorWrites({ supabase, given: { agentId } }) {
  const conversationId = crypto.randomUUID();
  done(await supabase.from('conversations').insert({
    id: conversationId, agent_id: agentId, visitor_name: 'Visitor',
  }));
  done(await supabase.from('messages').insert({
    conversation_id: conversationId, role: 'user', content: 'Do you deliver on Sundays?',
  }));
  done(await supabase.from('leads').insert({
    agent_id: agentId, conversation_id: conversationId, name: 'V', email: 'v@example.com',
  }));
  return conversationId;
}

export async function readConversation({ db, given: { conversationId } }) {
  return done(await db.conversations.getWithMessages(conversationId));
}

// The answer to each forbidden or empty request: {rows} or the database's {code}.
export async function readEverything({ supabase, given: { tables } }) {
  const answers = {};
  for (const table of tables) answers[table] = answer(await supabase.from(table).select());
  return answers;
}

export async function visitorOversteps({ supabase, given: { agentId, closedId, openId } }) {
  const message = { conversation_id: openId, role: 'user', content: 'x' };
  return {
    readsPublicAgent: answer(await supabase.from('agents').select('id, name')),
    readsSystemPrompt: answer(await supabase.from('agents').select('system_prompt')),
    readsBackWhatItSent: answer(await supabase.from('messages').insert(message).select()),
    speaksAsAssistant: answer(await supabase.from('messages')
      .insert({ ...message, role: 'assistant' })),
    writesToResolved: answer(await supabase.from('messages')
      .insert({ ...message, conversation_id: closedId })),
    qualifiesItsLead: answer(await supabase.from('leads')
      .insert({ agent_id: agentId, email: 'v@example.com', status: 'qualified' })),
    searchesKnowledge: answer(await supabase.rpc('match_knowledge_chunks', {
      agent_id: agentId, query_embedding: Array(1536).fill(1), match_count: 5,
    })),
    enqueuesAJob: answer(await supabase.rpc('enqueue_job', { kind: 'probe' })),
    reachesTheWorkers: answer(await supabase.schema('worker').from('jobs').select()),
  };
}

export async function strangerOversteps({ db, supabase, given }) {
  const { agentId, ownerId, leadId, sourceId, webhookId, conversationId } = given;
  return {
    createsForTheOwner: answer(await db.agents.create({ user_id: ownerId, name: 'Mine' })),
    addsKnowledge: answer(await db.knowledge.createSource({
      agent_id: agentId, name: 'x', type: 'text', content: 'x',
    })),
    renamesTheAgent: answer(await supabase.from('agents').update({ name: 'x' })
      .eq('id', agentId).select()),
    updatesTheLead: answer(await supabase.from('leads').update({ status: 'lost' })
      .eq('id', leadId).select()),
    deletesTheSource: answer(await supabase.from('knowledge_sources').delete()
      .eq('id', sourceId).select()),
    searchesKnowledge: answer(await db.knowledge.searchChunks(
      agentId, given.queryEmbedding, 0, 5)),
    readsTheConversation: (await db.conversations.getWithMessages(conversationId)).data,
    listsConversations: answer(await db.conversations.list(agentId)),
    readsDeliveries: answer(await db.webhooks.getDeliveries(webhookId, 50)),
    raisesOwnLimit: answer(await supabase.from('user_profiles')
      .update({ monthly_message_limit: 1_000_000 }).eq('id', given.strangerId)),
    notifiesTheOwner: answer(await supabase.rpc('create_notification', {
      user_id: ownerId, type: 'new_lead', title: 'x', message: 'x',
    })),
  };
}

function done({ data, error }) {
  if (error) throw new Error(`${error.code}: ${error.message}`);
  return data;
}

function answer({ data, error }) {
  return error ? { code: error.code } : { rows: data?.length ?? 0 };
}
