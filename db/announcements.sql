-- Which mails the platform writes by itself, where triggers do not do it all.

-- name: announce_leads
-- Agents whose leads came within minutes of a mail about others; it may tell of them by now.
SELECT worker.announce_leads(due.agent_id) AS mailed
FROM (SELECT DISTINCT m.agent_id FROM worker.lead_marks AS m
      WHERE worker.may_mail_leads(m.agent_id) LIMIT %(agents_max)s) AS due

-- name: be_quiet
-- Until the end of the transaction.
SELECT set_config('avivro.quiet', 'on', true)
