// Written by `make types` from the migrated database. Do not edit.

export type Json = string | number | boolean | null | { [key: string]: Json | undefined } | Json[]

export type Database = {
  public: {
    Tables: {
      activity_logs: {
        Row: {
          action: string
          changes: Json | null
          created_at: string
          description: string | null
          id: string
          ip_address: unknown
          resource_id: string | null
          resource_type: string | null
          user_agent: string | null
          user_id: string | null
        }
        ComputedFields: never
        Insert: {
          action: string
          changes?: Json | null
          created_at?: string
          description?: string | null
          id?: string
          ip_address?: unknown
          resource_id?: string | null
          resource_type?: string | null
          user_agent?: string | null
          user_id?: string | null
        }
        Update: {
          action?: string
          changes?: Json | null
          created_at?: string
          description?: string | null
          id?: string
          ip_address?: unknown
          resource_id?: string | null
          resource_type?: string | null
          user_agent?: string | null
          user_id?: string | null
        }
        Relationships: [
          {
            foreignKeyName: "activity_logs_user_id_fkey"
            columns: ["user_id"]
            isOneToOne: false
            referencedRelation: "user_profiles"
            referencedColumns: ["id"]
          },
        ]
      }
      agents: {
        Row: {
          ai_model: string
          avatar_url: string | null
          created_at: string
          description: string | null
          embed_code: string | null
          embedding_model: string | null
          enable_lead_capture: boolean
          enable_sentiment_analysis: boolean
          id: string
          is_published: boolean
          max_tokens: number
          name: string
          primary_color: string
          public_url: string | null
          system_prompt: string | null
          temperature: number
          tone: string
          total_conversations: number
          total_leads: number
          total_messages: number
          updated_at: string
          user_id: string
          welcome_message: string | null
          widget_position: string
          widget_size: string
        }
        ComputedFields: never
        Insert: {
          ai_model?: string
          avatar_url?: string | null
          created_at?: string
          description?: string | null
          embed_code?: string | null
          embedding_model?: string | null
          enable_lead_capture?: boolean
          enable_sentiment_analysis?: boolean
          id?: string
          is_published?: boolean
          max_tokens?: number
          name: string
          primary_color?: string
          public_url?: string | null
          system_prompt?: string | null
          temperature?: number
          tone?: string
          total_conversations?: number
          total_leads?: number
          total_messages?: number
          updated_at?: string
          user_id: string
          welcome_message?: string | null
          widget_position?: string
          widget_size?: string
        }
        Update: {
          ai_model?: string
          avatar_url?: string | null
          created_at?: string
          description?: string | null
          embed_code?: string | null
          embedding_model?: string | null
          enable_lead_capture?: boolean
          enable_sentiment_analysis?: boolean
          id?: string
          is_published?: boolean
          max_tokens?: number
          name?: string
          primary_color?: string
          public_url?: string | null
          system_prompt?: string | null
          temperature?: number
          tone?: string
          total_conversations?: number
          total_leads?: number
          total_messages?: number
          updated_at?: string
          user_id?: string
          welcome_message?: string | null
          widget_position?: string
          widget_size?: string
        }
        Relationships: [
          {
            foreignKeyName: "agents_user_id_fkey"
            columns: ["user_id"]
            isOneToOne: false
            referencedRelation: "user_profiles"
            referencedColumns: ["id"]
          },
        ]
      }
      analytics_events: {
        Row: {
          agent_id: string
          browser: string | null
          city: string | null
          conversation_id: string | null
          country: string | null
          created_at: string
          device_type: string | null
          event_data: NonNullable<Json>
          event_type: string
          id: string
          ip_address: unknown
          os: string | null
          session_id: string | null
          user_agent: string | null
          visitor_id: string | null
        }
        ComputedFields: never
        Insert: {
          agent_id: string
          browser?: string | null
          city?: string | null
          conversation_id?: string | null
          country?: string | null
          created_at?: string
          device_type?: string | null
          event_data?: NonNullable<Json>
          event_type: string
          id?: string
          ip_address?: unknown
          os?: string | null
          session_id?: string | null
          user_agent?: string | null
          visitor_id?: string | null
        }
        Update: {
          agent_id?: string
          browser?: string | null
          city?: string | null
          conversation_id?: string | null
          country?: string | null
          created_at?: string
          device_type?: string | null
          event_data?: NonNullable<Json>
          event_type?: string
          id?: string
          ip_address?: unknown
          os?: string | null
          session_id?: string | null
          user_agent?: string | null
          visitor_id?: string | null
        }
        Relationships: [
          {
            foreignKeyName: "analytics_events_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agent_dashboard_summary"
            referencedColumns: ["agent_id"]
          },
          {
            foreignKeyName: "analytics_events_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agents"
            referencedColumns: ["id"]
          },
          {
            foreignKeyName: "analytics_events_conversation_id_fkey"
            columns: ["conversation_id"]
            isOneToOne: false
            referencedRelation: "conversations"
            referencedColumns: ["id"]
          },
        ]
      }
      api_keys: {
        Row: {
          agent_id: string | null
          created_at: string
          expires_at: string | null
          id: string
          is_active: boolean
          key_hash: string
          key_prefix: string
          last_used_at: string | null
          name: string
          rate_limit_per_day: number
          rate_limit_per_minute: number
          scopes: (string)[]
          total_requests: number
          updated_at: string
          user_id: string
        }
        ComputedFields: never
        Insert: {
          agent_id?: string | null
          created_at?: string
          expires_at?: string | null
          id?: string
          is_active?: boolean
          key_hash: string
          key_prefix: string
          last_used_at?: string | null
          name: string
          rate_limit_per_day?: number
          rate_limit_per_minute?: number
          scopes?: (string)[]
          total_requests?: number
          updated_at?: string
          user_id: string
        }
        Update: {
          agent_id?: string | null
          created_at?: string
          expires_at?: string | null
          id?: string
          is_active?: boolean
          key_hash?: string
          key_prefix?: string
          last_used_at?: string | null
          name?: string
          rate_limit_per_day?: number
          rate_limit_per_minute?: number
          scopes?: (string)[]
          total_requests?: number
          updated_at?: string
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: "api_keys_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agent_dashboard_summary"
            referencedColumns: ["agent_id"]
          },
          {
            foreignKeyName: "api_keys_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agents"
            referencedColumns: ["id"]
          },
          {
            foreignKeyName: "api_keys_user_id_fkey"
            columns: ["user_id"]
            isOneToOne: false
            referencedRelation: "user_profiles"
            referencedColumns: ["id"]
          },
        ]
      }
      billing_transactions: {
        Row: {
          amount: number
          created_at: string
          currency: string
          description: string | null
          id: string
          invoice_number: string | null
          invoice_url: string | null
          payment_method: string | null
          payment_provider: string | null
          provider_transaction_id: string | null
          status: string
          tax_amount: number
          total_amount: number
          type: string
          updated_at: string
          user_id: string | null
        }
        ComputedFields: never
        Insert: {
          amount: number
          created_at?: string
          currency?: string
          description?: string | null
          id?: string
          invoice_number?: string | null
          invoice_url?: string | null
          payment_method?: string | null
          payment_provider?: string | null
          provider_transaction_id?: string | null
          status?: string
          tax_amount?: number
          total_amount: number
          type: string
          updated_at?: string
          user_id?: string | null
        }
        Update: {
          amount?: number
          created_at?: string
          currency?: string
          description?: string | null
          id?: string
          invoice_number?: string | null
          invoice_url?: string | null
          payment_method?: string | null
          payment_provider?: string | null
          provider_transaction_id?: string | null
          status?: string
          tax_amount?: number
          total_amount?: number
          type?: string
          updated_at?: string
          user_id?: string | null
        }
        Relationships: [
          {
            foreignKeyName: "billing_transactions_user_id_fkey"
            columns: ["user_id"]
            isOneToOne: false
            referencedRelation: "user_profiles"
            referencedColumns: ["id"]
          },
        ]
      }
      conversations: {
        Row: {
          agent_id: string
          created_at: string
          duration_seconds: number
          id: string
          is_lead: boolean
          lead_captured_at: string | null
          message_count: number
          sentiment_label: string | null
          sentiment_score: number | null
          source: string
          status: string
          updated_at: string
          visitor_email: string | null
          visitor_id: string
          visitor_ip: unknown
          visitor_location: string | null
          visitor_metadata: NonNullable<Json>
          visitor_name: string | null
          visitor_phone: string | null
        }
        ComputedFields: never
        Insert: {
          agent_id: string
          created_at?: string
          duration_seconds?: number
          id?: string
          is_lead?: boolean
          lead_captured_at?: string | null
          message_count?: number
          sentiment_label?: string | null
          sentiment_score?: number | null
          source?: string
          status?: string
          updated_at?: string
          visitor_email?: string | null
          visitor_id?: string
          visitor_ip?: unknown
          visitor_location?: string | null
          visitor_metadata?: NonNullable<Json>
          visitor_name?: string | null
          visitor_phone?: string | null
        }
        Update: {
          agent_id?: string
          created_at?: string
          duration_seconds?: number
          id?: string
          is_lead?: boolean
          lead_captured_at?: string | null
          message_count?: number
          sentiment_label?: string | null
          sentiment_score?: number | null
          source?: string
          status?: string
          updated_at?: string
          visitor_email?: string | null
          visitor_id?: string
          visitor_ip?: unknown
          visitor_location?: string | null
          visitor_metadata?: NonNullable<Json>
          visitor_name?: string | null
          visitor_phone?: string | null
        }
        Relationships: [
          {
            foreignKeyName: "conversations_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agent_dashboard_summary"
            referencedColumns: ["agent_id"]
          },
          {
            foreignKeyName: "conversations_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agents"
            referencedColumns: ["id"]
          },
        ]
      }
      corrections: {
        Row: {
          agent_id: string
          conversation_id: string | null
          corrected_response: string
          correction_type: string | null
          created_at: string
          feedback_notes: string | null
          id: string
          message_id: string | null
          original_response: string
          reason: string | null
          status: string
          updated_at: string
          was_helpful: boolean | null
        }
        ComputedFields: never
        Insert: {
          agent_id: string
          conversation_id?: string | null
          corrected_response: string
          correction_type?: string | null
          created_at?: string
          feedback_notes?: string | null
          id?: string
          message_id?: string | null
          original_response: string
          reason?: string | null
          status?: string
          updated_at?: string
          was_helpful?: boolean | null
        }
        Update: {
          agent_id?: string
          conversation_id?: string | null
          corrected_response?: string
          correction_type?: string | null
          created_at?: string
          feedback_notes?: string | null
          id?: string
          message_id?: string | null
          original_response?: string
          reason?: string | null
          status?: string
          updated_at?: string
          was_helpful?: boolean | null
        }
        Relationships: [
          {
            foreignKeyName: "corrections_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agent_dashboard_summary"
            referencedColumns: ["agent_id"]
          },
          {
            foreignKeyName: "corrections_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agents"
            referencedColumns: ["id"]
          },
          {
            foreignKeyName: "corrections_conversation_id_fkey"
            columns: ["conversation_id"]
            isOneToOne: false
            referencedRelation: "conversations"
            referencedColumns: ["id"]
          },
          {
            foreignKeyName: "corrections_message_id_fkey"
            columns: ["message_id"]
            isOneToOne: false
            referencedRelation: "messages"
            referencedColumns: ["id"]
          },
        ]
      }
      daily_stats: {
        Row: {
          active_conversations: number
          agent_id: string
          assistant_messages: number
          avg_conversation_duration: number | null
          avg_response_time_ms: number | null
          conversion_rate: number | null
          created_at: string
          date: string
          id: string
          negative_sentiment_count: number
          neutral_sentiment_count: number
          positive_sentiment_count: number
          returning_visitors: number
          total_ai_cost: number
          total_conversations: number
          total_leads: number
          total_messages: number
          total_tokens_used: number
          unique_visitors: number
          updated_at: string
          user_messages: number
          widget_opens: number
        }
        ComputedFields: never
        Insert: {
          active_conversations?: number
          agent_id: string
          assistant_messages?: number
          avg_conversation_duration?: number | null
          avg_response_time_ms?: number | null
          conversion_rate?: number | null
          created_at?: string
          date: string
          id?: string
          negative_sentiment_count?: number
          neutral_sentiment_count?: number
          positive_sentiment_count?: number
          returning_visitors?: number
          total_ai_cost?: number
          total_conversations?: number
          total_leads?: number
          total_messages?: number
          total_tokens_used?: number
          unique_visitors?: number
          updated_at?: string
          user_messages?: number
          widget_opens?: number
        }
        Update: {
          active_conversations?: number
          agent_id?: string
          assistant_messages?: number
          avg_conversation_duration?: number | null
          avg_response_time_ms?: number | null
          conversion_rate?: number | null
          created_at?: string
          date?: string
          id?: string
          negative_sentiment_count?: number
          neutral_sentiment_count?: number
          positive_sentiment_count?: number
          returning_visitors?: number
          total_ai_cost?: number
          total_conversations?: number
          total_leads?: number
          total_messages?: number
          total_tokens_used?: number
          unique_visitors?: number
          updated_at?: string
          user_messages?: number
          widget_opens?: number
        }
        Relationships: [
          {
            foreignKeyName: "daily_stats_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agent_dashboard_summary"
            referencedColumns: ["agent_id"]
          },
          {
            foreignKeyName: "daily_stats_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agents"
            referencedColumns: ["id"]
          },
        ]
      }
      email_logs: {
        Row: {
          clicked_at: string | null
          created_at: string
          delivered_at: string | null
          email_type: string
          error_message: string | null
          from_email: string | null
          id: string
          opened_at: string | null
          provider: string | null
          provider_message_id: string | null
          sent_at: string | null
          status: string
          subject: string | null
          template_data: NonNullable<Json>
          template_id: string | null
          to_email: string
          updated_at: string
          user_id: string | null
        }
        ComputedFields: never
        Insert: {
          clicked_at?: string | null
          created_at?: string
          delivered_at?: string | null
          email_type: string
          error_message?: string | null
          from_email?: string | null
          id?: string
          opened_at?: string | null
          provider?: string | null
          provider_message_id?: string | null
          sent_at?: string | null
          status?: string
          subject?: string | null
          template_data?: NonNullable<Json>
          template_id?: string | null
          to_email: string
          updated_at?: string
          user_id?: string | null
        }
        Update: {
          clicked_at?: string | null
          created_at?: string
          delivered_at?: string | null
          email_type?: string
          error_message?: string | null
          from_email?: string | null
          id?: string
          opened_at?: string | null
          provider?: string | null
          provider_message_id?: string | null
          sent_at?: string | null
          status?: string
          subject?: string | null
          template_data?: NonNullable<Json>
          template_id?: string | null
          to_email?: string
          updated_at?: string
          user_id?: string | null
        }
        Relationships: [
          {
            foreignKeyName: "email_logs_user_id_fkey"
            columns: ["user_id"]
            isOneToOne: false
            referencedRelation: "user_profiles"
            referencedColumns: ["id"]
          },
        ]
      }
      knowledge_chunks: {
        Row: {
          agent_id: string
          chunk_index: number
          content: string
          content_hash: string | null
          created_at: string
          embedding: string | null
          embedding_model: string | null
          id: string
          metadata: NonNullable<Json>
          source_id: string
          tokens: number
          updated_at: string
        }
        ComputedFields: never
        Insert: {
          agent_id: string
          chunk_index: number
          content: string
          content_hash?: string | null
          created_at?: string
          embedding?: string | null
          embedding_model?: string | null
          id?: string
          metadata?: NonNullable<Json>
          source_id: string
          tokens?: number
          updated_at?: string
        }
        Update: {
          agent_id?: string
          chunk_index?: number
          content?: string
          content_hash?: string | null
          created_at?: string
          embedding?: string | null
          embedding_model?: string | null
          id?: string
          metadata?: NonNullable<Json>
          source_id?: string
          tokens?: number
          updated_at?: string
        }
        Relationships: [
          {
            foreignKeyName: "knowledge_chunks_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agent_dashboard_summary"
            referencedColumns: ["agent_id"]
          },
          {
            foreignKeyName: "knowledge_chunks_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agents"
            referencedColumns: ["id"]
          },
          {
            foreignKeyName: "knowledge_chunks_source_id_fkey"
            columns: ["source_id"]
            isOneToOne: false
            referencedRelation: "knowledge_sources"
            referencedColumns: ["id"]
          },
        ]
      }
      knowledge_sources: {
        Row: {
          agent_id: string
          auto_sync: boolean
          chunks_count: number
          content: string | null
          created_at: string
          error_message: string | null
          file_name: string | null
          file_size: number | null
          file_type: string | null
          file_url: string | null
          id: string
          last_synced_at: string | null
          name: string
          parent_id: string | null
          progress: Json | null
          settings: NonNullable<Json>
          status: string
          sync_frequency: string | null
          tokens_count: number
          type: string
          updated_at: string
          url: string | null
        }
        ComputedFields: never
        Insert: {
          agent_id: string
          auto_sync?: boolean
          chunks_count?: number
          content?: string | null
          created_at?: string
          error_message?: string | null
          file_name?: string | null
          file_size?: number | null
          file_type?: string | null
          file_url?: string | null
          id?: string
          last_synced_at?: string | null
          name: string
          parent_id?: string | null
          progress?: Json | null
          settings?: NonNullable<Json>
          status?: string
          sync_frequency?: string | null
          tokens_count?: number
          type: string
          updated_at?: string
          url?: string | null
        }
        Update: {
          agent_id?: string
          auto_sync?: boolean
          chunks_count?: number
          content?: string | null
          created_at?: string
          error_message?: string | null
          file_name?: string | null
          file_size?: number | null
          file_type?: string | null
          file_url?: string | null
          id?: string
          last_synced_at?: string | null
          name?: string
          parent_id?: string | null
          progress?: Json | null
          settings?: NonNullable<Json>
          status?: string
          sync_frequency?: string | null
          tokens_count?: number
          type?: string
          updated_at?: string
          url?: string | null
        }
        Relationships: [
          {
            foreignKeyName: "knowledge_sources_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agent_dashboard_summary"
            referencedColumns: ["agent_id"]
          },
          {
            foreignKeyName: "knowledge_sources_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agents"
            referencedColumns: ["id"]
          },
          {
            foreignKeyName: "knowledge_sources_parent_id_fkey"
            columns: ["parent_id"]
            isOneToOne: false
            referencedRelation: "knowledge_sources"
            referencedColumns: ["id"]
          },
        ]
      }
      leads: {
        Row: {
          agent_id: string
          assigned_to: string | null
          company: string | null
          conversation_id: string | null
          created_at: string
          custom_fields: NonNullable<Json>
          email: string | null
          id: string
          interest_level: string | null
          name: string | null
          next_follow_up_at: string | null
          notes: string | null
          phone: string | null
          score: number
          status: string
          tags: (string)[]
          updated_at: string
          utm_campaign: string | null
          utm_medium: string | null
          utm_source: string | null
        }
        ComputedFields: never
        Insert: {
          agent_id: string
          assigned_to?: string | null
          company?: string | null
          conversation_id?: string | null
          created_at?: string
          custom_fields?: NonNullable<Json>
          email?: string | null
          id?: string
          interest_level?: string | null
          name?: string | null
          next_follow_up_at?: string | null
          notes?: string | null
          phone?: string | null
          score?: number
          status?: string
          tags?: (string)[]
          updated_at?: string
          utm_campaign?: string | null
          utm_medium?: string | null
          utm_source?: string | null
        }
        Update: {
          agent_id?: string
          assigned_to?: string | null
          company?: string | null
          conversation_id?: string | null
          created_at?: string
          custom_fields?: NonNullable<Json>
          email?: string | null
          id?: string
          interest_level?: string | null
          name?: string | null
          next_follow_up_at?: string | null
          notes?: string | null
          phone?: string | null
          score?: number
          status?: string
          tags?: (string)[]
          updated_at?: string
          utm_campaign?: string | null
          utm_medium?: string | null
          utm_source?: string | null
        }
        Relationships: [
          {
            foreignKeyName: "leads_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agent_dashboard_summary"
            referencedColumns: ["agent_id"]
          },
          {
            foreignKeyName: "leads_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agents"
            referencedColumns: ["id"]
          },
          {
            foreignKeyName: "leads_assigned_to_fkey"
            columns: ["assigned_to"]
            isOneToOne: false
            referencedRelation: "user_profiles"
            referencedColumns: ["id"]
          },
          {
            foreignKeyName: "leads_conversation_id_fkey"
            columns: ["conversation_id"]
            isOneToOne: false
            referencedRelation: "conversations"
            referencedColumns: ["id"]
          },
        ]
      }
      messages: {
        Row: {
          agent_id: string | null
          content: string
          conversation_id: string
          correction_id: string | null
          created_at: string
          feedback_rating: number | null
          id: string
          model: string | null
          response_time_ms: number | null
          role: string
          sentiment_label: string | null
          sentiment_score: number | null
          tokens_used: number
          updated_at: string
          was_corrected: boolean
        }
        ComputedFields: never
        Insert: {
          agent_id?: string | null
          content: string
          conversation_id: string
          correction_id?: string | null
          created_at?: string
          feedback_rating?: number | null
          id?: string
          model?: string | null
          response_time_ms?: number | null
          role: string
          sentiment_label?: string | null
          sentiment_score?: number | null
          tokens_used?: number
          updated_at?: string
          was_corrected?: boolean
        }
        Update: {
          agent_id?: string | null
          content?: string
          conversation_id?: string
          correction_id?: string | null
          created_at?: string
          feedback_rating?: number | null
          id?: string
          model?: string | null
          response_time_ms?: number | null
          role?: string
          sentiment_label?: string | null
          sentiment_score?: number | null
          tokens_used?: number
          updated_at?: string
          was_corrected?: boolean
        }
        Relationships: [
          {
            foreignKeyName: "messages_conversation_id_fkey"
            columns: ["conversation_id"]
            isOneToOne: false
            referencedRelation: "conversations"
            referencedColumns: ["id"]
          },
          {
            foreignKeyName: "messages_correction_id_fkey"
            columns: ["correction_id"]
            isOneToOne: false
            referencedRelation: "corrections"
            referencedColumns: ["id"]
          },
        ]
      }
      monthly_usage_summary: {
        Row: {
          created_at: string
          id: string
          message_limit: number
          messages_remaining: number
          month: number
          overage_messages: number
          total_agents: number
          total_ai_cost: number
          total_ai_requests: number
          total_conversations: number
          total_messages: number
          total_tokens: number
          updated_at: string
          user_id: string
          year: number
        }
        ComputedFields: never
        Insert: {
          created_at?: string
          id?: string
          message_limit?: number
          messages_remaining?: number
          month: number
          overage_messages?: number
          total_agents?: number
          total_ai_cost?: number
          total_ai_requests?: number
          total_conversations?: number
          total_messages?: number
          total_tokens?: number
          updated_at?: string
          user_id: string
          year: number
        }
        Update: {
          created_at?: string
          id?: string
          message_limit?: number
          messages_remaining?: number
          month?: number
          overage_messages?: number
          total_agents?: number
          total_ai_cost?: number
          total_ai_requests?: number
          total_conversations?: number
          total_messages?: number
          total_tokens?: number
          updated_at?: string
          user_id?: string
          year?: number
        }
        Relationships: [
          {
            foreignKeyName: "monthly_usage_summary_user_id_fkey"
            columns: ["user_id"]
            isOneToOne: false
            referencedRelation: "user_profiles"
            referencedColumns: ["id"]
          },
        ]
      }
      notifications: {
        Row: {
          action_label: string | null
          action_url: string | null
          agent_id: string | null
          created_at: string
          id: string
          is_read: boolean
          message: string
          priority: string
          read_at: string | null
          title: string
          type: string
          updated_at: string
          user_id: string
        }
        ComputedFields: never
        Insert: {
          action_label?: string | null
          action_url?: string | null
          agent_id?: string | null
          created_at?: string
          id?: string
          is_read?: boolean
          message: string
          priority?: string
          read_at?: string | null
          title: string
          type: string
          updated_at?: string
          user_id: string
        }
        Update: {
          action_label?: string | null
          action_url?: string | null
          agent_id?: string | null
          created_at?: string
          id?: string
          is_read?: boolean
          message?: string
          priority?: string
          read_at?: string | null
          title?: string
          type?: string
          updated_at?: string
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: "notifications_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agent_dashboard_summary"
            referencedColumns: ["agent_id"]
          },
          {
            foreignKeyName: "notifications_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agents"
            referencedColumns: ["id"]
          },
          {
            foreignKeyName: "notifications_user_id_fkey"
            columns: ["user_id"]
            isOneToOne: false
            referencedRelation: "user_profiles"
            referencedColumns: ["id"]
          },
        ]
      }
      sentiment_analysis: {
        Row: {
          agent_id: string
          confidence: number | null
          conversation_id: string
          created_at: string
          emotions: NonNullable<Json>
          id: string
          judge: string | null
          keywords: (string)[]
          label: string
          message_id: string | null
          overall_score: number
          topics: (string)[]
          updated_at: string
        }
        ComputedFields: never
        Insert: {
          agent_id: string
          confidence?: number | null
          conversation_id: string
          created_at?: string
          emotions?: NonNullable<Json>
          id?: string
          judge?: string | null
          keywords?: (string)[]
          label: string
          message_id?: string | null
          overall_score: number
          topics?: (string)[]
          updated_at?: string
        }
        Update: {
          agent_id?: string
          confidence?: number | null
          conversation_id?: string
          created_at?: string
          emotions?: NonNullable<Json>
          id?: string
          judge?: string | null
          keywords?: (string)[]
          label?: string
          message_id?: string | null
          overall_score?: number
          topics?: (string)[]
          updated_at?: string
        }
        Relationships: [
          {
            foreignKeyName: "sentiment_analysis_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agent_dashboard_summary"
            referencedColumns: ["agent_id"]
          },
          {
            foreignKeyName: "sentiment_analysis_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agents"
            referencedColumns: ["id"]
          },
          {
            foreignKeyName: "sentiment_analysis_conversation_id_fkey"
            columns: ["conversation_id"]
            isOneToOne: false
            referencedRelation: "conversations"
            referencedColumns: ["id"]
          },
          {
            foreignKeyName: "sentiment_analysis_message_id_fkey"
            columns: ["message_id"]
            isOneToOne: false
            referencedRelation: "messages"
            referencedColumns: ["id"]
          },
        ]
      }
      subscription_history: {
        Row: {
          annual_price: number | null
          billing_cycle: string | null
          cancellation_reason: string | null
          cancelled_at: string | null
          created_at: string
          ended_at: string | null
          id: string
          monthly_price: number | null
          started_at: string
          status: string
          tier: string
          trial_ends_at: string | null
          updated_at: string
          user_id: string
        }
        ComputedFields: never
        Insert: {
          annual_price?: number | null
          billing_cycle?: string | null
          cancellation_reason?: string | null
          cancelled_at?: string | null
          created_at?: string
          ended_at?: string | null
          id?: string
          monthly_price?: number | null
          started_at?: string
          status: string
          tier: string
          trial_ends_at?: string | null
          updated_at?: string
          user_id: string
        }
        Update: {
          annual_price?: number | null
          billing_cycle?: string | null
          cancellation_reason?: string | null
          cancelled_at?: string | null
          created_at?: string
          ended_at?: string | null
          id?: string
          monthly_price?: number | null
          started_at?: string
          status?: string
          tier?: string
          trial_ends_at?: string | null
          updated_at?: string
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: "subscription_history_user_id_fkey"
            columns: ["user_id"]
            isOneToOne: false
            referencedRelation: "user_profiles"
            referencedColumns: ["id"]
          },
        ]
      }
      training_examples: {
        Row: {
          agent_id: string
          category: string | null
          correction_id: string | null
          created_at: string
          expected_output: string
          id: string
          input: string
          is_active: boolean
          quality_score: number | null
          source: string
          success_rate: number | null
          tags: (string)[]
          times_used: number
          updated_at: string
        }
        ComputedFields: never
        Insert: {
          agent_id: string
          category?: string | null
          correction_id?: string | null
          created_at?: string
          expected_output: string
          id?: string
          input: string
          is_active?: boolean
          quality_score?: number | null
          source?: string
          success_rate?: number | null
          tags?: (string)[]
          times_used?: number
          updated_at?: string
        }
        Update: {
          agent_id?: string
          category?: string | null
          correction_id?: string | null
          created_at?: string
          expected_output?: string
          id?: string
          input?: string
          is_active?: boolean
          quality_score?: number | null
          source?: string
          success_rate?: number | null
          tags?: (string)[]
          times_used?: number
          updated_at?: string
        }
        Relationships: [
          {
            foreignKeyName: "training_examples_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agent_dashboard_summary"
            referencedColumns: ["agent_id"]
          },
          {
            foreignKeyName: "training_examples_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agents"
            referencedColumns: ["id"]
          },
          {
            foreignKeyName: "training_examples_correction_id_fkey"
            columns: ["correction_id"]
            isOneToOne: true
            referencedRelation: "corrections"
            referencedColumns: ["id"]
          },
        ]
      }
      usage_logs: {
        Row: {
          agent_id: string | null
          ai_model: string | null
          completion_tokens: number
          created_at: string
          id: string
          metadata: NonNullable<Json>
          prompt_tokens: number
          total_cost: number
          total_tokens: number
          unit_cost: number
          usage_type: string
          user_id: string | null
        }
        ComputedFields: never
        Insert: {
          agent_id?: string | null
          ai_model?: string | null
          completion_tokens?: number
          created_at?: string
          id?: string
          metadata?: NonNullable<Json>
          prompt_tokens?: number
          total_cost?: number
          total_tokens?: number
          unit_cost?: number
          usage_type: string
          user_id?: string | null
        }
        Update: {
          agent_id?: string | null
          ai_model?: string | null
          completion_tokens?: number
          created_at?: string
          id?: string
          metadata?: NonNullable<Json>
          prompt_tokens?: number
          total_cost?: number
          total_tokens?: number
          unit_cost?: number
          usage_type?: string
          user_id?: string | null
        }
        Relationships: [
          {
            foreignKeyName: "usage_logs_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agent_dashboard_summary"
            referencedColumns: ["agent_id"]
          },
          {
            foreignKeyName: "usage_logs_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agents"
            referencedColumns: ["id"]
          },
          {
            foreignKeyName: "usage_logs_user_id_fkey"
            columns: ["user_id"]
            isOneToOne: false
            referencedRelation: "user_profiles"
            referencedColumns: ["id"]
          },
        ]
      }
      user_profiles: {
        Row: {
          avatar_url: string | null
          billing_anchor_day: number
          company_name: string | null
          created_at: string
          email: string | null
          full_name: string | null
          id: string
          monthly_message_limit: number
          monthly_messages_used: number
          phone: string | null
          subscription_status: string
          subscription_tier: string
          time_zone: string
          updated_at: string
          usage_period_start: string
        }
        ComputedFields: never
        Insert: {
          avatar_url?: string | null
          billing_anchor_day?: number
          company_name?: string | null
          created_at?: string
          email?: string | null
          full_name?: string | null
          id: string
          monthly_message_limit?: number
          monthly_messages_used?: number
          phone?: string | null
          subscription_status?: string
          subscription_tier?: string
          time_zone?: string
          updated_at?: string
          usage_period_start?: string
        }
        Update: {
          avatar_url?: string | null
          billing_anchor_day?: number
          company_name?: string | null
          created_at?: string
          email?: string | null
          full_name?: string | null
          id?: string
          monthly_message_limit?: number
          monthly_messages_used?: number
          phone?: string | null
          subscription_status?: string
          subscription_tier?: string
          time_zone?: string
          updated_at?: string
          usage_period_start?: string
        }
        Relationships: []
      }
      webhook_deliveries: {
        Row: {
          attempt_count: number
          created_at: string
          delivered_at: string | null
          duration_ms: number | null
          error_message: string | null
          event_data: NonNullable<Json>
          event_id: string
          event_type: string
          http_status: number | null
          id: string
          next_retry_at: string | null
          response_body: string | null
          status: string
          updated_at: string
          webhook_id: string
        }
        ComputedFields: never
        Insert: {
          attempt_count?: number
          created_at?: string
          delivered_at?: string | null
          duration_ms?: number | null
          error_message?: string | null
          event_data?: NonNullable<Json>
          event_id?: string
          event_type: string
          http_status?: number | null
          id?: string
          next_retry_at?: string | null
          response_body?: string | null
          status?: string
          updated_at?: string
          webhook_id: string
        }
        Update: {
          attempt_count?: number
          created_at?: string
          delivered_at?: string | null
          duration_ms?: number | null
          error_message?: string | null
          event_data?: NonNullable<Json>
          event_id?: string
          event_type?: string
          http_status?: number | null
          id?: string
          next_retry_at?: string | null
          response_body?: string | null
          status?: string
          updated_at?: string
          webhook_id?: string
        }
        Relationships: [
          {
            foreignKeyName: "webhook_deliveries_webhook_id_fkey"
            columns: ["webhook_id"]
            isOneToOne: false
            referencedRelation: "webhooks"
            referencedColumns: ["id"]
          },
        ]
      }
      webhooks: {
        Row: {
          agent_id: string | null
          created_at: string
          custom_headers: NonNullable<Json>
          events: (string)[]
          failed_deliveries: number
          id: string
          is_active: boolean
          max_retries: number
          name: string
          retry_failed: boolean
          secret: string
          successful_deliveries: number
          total_deliveries: number
          updated_at: string
          url: string
          user_id: string
        }
        ComputedFields: never
        Insert: {
          agent_id?: string | null
          created_at?: string
          custom_headers?: NonNullable<Json>
          events?: (string)[]
          failed_deliveries?: number
          id?: string
          is_active?: boolean
          max_retries?: number
          name: string
          retry_failed?: boolean
          secret?: string
          successful_deliveries?: number
          total_deliveries?: number
          updated_at?: string
          url: string
          user_id: string
        }
        Update: {
          agent_id?: string | null
          created_at?: string
          custom_headers?: NonNullable<Json>
          events?: (string)[]
          failed_deliveries?: number
          id?: string
          is_active?: boolean
          max_retries?: number
          name?: string
          retry_failed?: boolean
          secret?: string
          successful_deliveries?: number
          total_deliveries?: number
          updated_at?: string
          url?: string
          user_id?: string
        }
        Relationships: [
          {
            foreignKeyName: "webhooks_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agent_dashboard_summary"
            referencedColumns: ["agent_id"]
          },
          {
            foreignKeyName: "webhooks_agent_id_fkey"
            columns: ["agent_id"]
            isOneToOne: false
            referencedRelation: "agents"
            referencedColumns: ["id"]
          },
          {
            foreignKeyName: "webhooks_user_id_fkey"
            columns: ["user_id"]
            isOneToOne: false
            referencedRelation: "user_profiles"
            referencedColumns: ["id"]
          },
        ]
      }
    }
    Views: {
      agent_dashboard_summary: {
        Row: {
          active_conversations_count: number | null
          agent_id: string
          created_at: string
          is_published: boolean
          knowledge_sources_count: number | null
          name: string
          new_leads_last_7_days: number | null
          pending_corrections_count: number | null
          total_conversations: number
          total_leads: number
          total_messages: number
          updated_at: string
          user_id: string
        }
        ComputedFields: never
        Insert: {
          active_conversations_count?: never
          agent_id?: string | null
          created_at?: string | null
          is_published?: boolean | null
          knowledge_sources_count?: never
          name?: string | null
          new_leads_last_7_days?: never
          pending_corrections_count?: never
          total_conversations?: number | null
          total_leads?: number | null
          total_messages?: number | null
          updated_at?: string | null
          user_id?: string | null
        }
        Update: {
          active_conversations_count?: never
          agent_id?: string | null
          created_at?: string | null
          is_published?: boolean | null
          knowledge_sources_count?: never
          name?: string | null
          new_leads_last_7_days?: never
          pending_corrections_count?: never
          total_conversations?: number | null
          total_leads?: number | null
          total_messages?: number | null
          updated_at?: string | null
          user_id?: string | null
        }
        Relationships: [
          {
            foreignKeyName: "agents_user_id_fkey"
            columns: ["user_id"]
            isOneToOne: false
            referencedRelation: "user_profiles"
            referencedColumns: ["id"]
          },
        ]
      }
      published_agents: {
        Row: {
          avatar_url: string | null
          description: string | null
          enable_lead_capture: boolean | null
          id: string | null
          name: string | null
          primary_color: string | null
          public_url: string | null
          tone: string | null
          welcome_message: string | null
          widget_position: string | null
          widget_size: string | null
        }
        ComputedFields: never
        Relationships: []
      }
      recent_activity: {
        Row: {
          activity_type: string | null
          agent_id: string | null
          agent_name: string | null
          created_at: string | null
          resource_id: string | null
          status: string | null
          title: string | null
          user_id: string | null
        }
        ComputedFields: never
        Relationships: []
      }
    }
    Functions: {
      analyze_sentiment: {
        Args: { text: string }
        Returns: Json
      }
      cancel_model_change: {
        Args: { agent_id: string }
        Returns: boolean
      }
      change_embedding_model: {
        Args: { agent_id: string; model: string }
        Returns: number
      }
      create_api_key: {
        Args: { agent_id?: string; expires_at?: string; name: string; scopes?: (string)[] }
        Returns: {
          id: string
          key: string
        }[]
      }
      create_notification: {
        Args: { agent_id?: string; message: string; priority?: string; title: string; type: string; user_id: string }
        Returns: string
      }
      enqueue_job: {
        Args: { args?: Json; kind: string; on_conflict?: string; priority?: number; run_at?: string; tenant?: string; unique_key?: string }
        Returns: number
      }
      estimate_reindex: {
        Args: { agent_id: string; model?: string }
        Returns: {
          chunks: number
          chunks_kept: number
          chunks_paid: number
          chunks_recalled: number
          cost_usd: number
          cost_usd_max: number
          model: string
          tokens: number
          tokens_paid: number
        }[]
      }
      get_agent_analytics: {
        Args: { agent_id: string; end_date?: string; start_date?: string }
        Returns: {
          avg_response_time: number
          avg_sentiment: number
          conversion_rate: number
          negative_count: number
          neutral_count: number
          positive_count: number
          total_conversations: number
          total_leads: number
          total_messages: number
        }[]
      }
      get_conversation_with_messages: {
        Args: { conversation_id: string }
        Returns: Json
      }
      get_current_usage: {
        Args: { user_id: string }
        Returns: {
          agents_count: number
          conversations_count: number
          leads_count: number
          messages_limit: number
          messages_remaining: number
          messages_used: number
          storage_used_mb: number
        }[]
      }
      get_delivery_attempts: {
        Args: { delivery_id: string }
        Returns: {
          at: string
          attempt: number
          duration_ms: number
          error_message: string
          http_status: number
          response_excerpt: string
        }[]
      }
      get_sync_history: {
        Args: { row_limit?: number; source_id: string }
        Returns: {
          chunks_added: number
          chunks_kept: number
          chunks_removed: number
          cost_usd: number
          documents: number
          error_message: string
          finished_at: string
          id: number
          kind: string
          report: Json
          started_at: string
          status: string
          tokens_embedded: number
        }[]
      }
      get_sync_state: {
        Args: { source_id: string }
        Returns: {
          failing_since: string
          failures: number
          next_sync_at: string
          paused_at: string
        }[]
      }
      get_visitor_erasures: {
        Args: { agent_id: string }
        Returns: {
          counts: Json
          finished_at: string
          id: string
          remains: Json
          requested_at: string
          state: string
        }[]
      }
      get_webhook_health: {
        Args: { webhook_id: string }
        Returns: {
          consecutive_failures: number
          failing_since: string
          next_attempt_at: string
          reason: string
          state: string
        }[]
      }
      increment_message_usage: {
        Args: { user_id: string }
        Returns: boolean
      }
      knowledge_chunk_neighbours: {
        Args: { after?: number; before?: number; chunk_id: string }
        Returns: {
          chunk_index: number
          content: string
          distance: number
          id: string
          metadata: Json
          source_id: string
        }[]
      }
      log_activity: {
        Args: { action: string; changes?: Json; description?: string; resource_id?: string; resource_type?: string; user_id: string }
        Returns: string
      }
      log_usage: {
        Args: { agent_id: string; cost?: number; tokens?: number; usage_type: string; user_id: string }
        Returns: string
      }
      match_knowledge_chunks: {
        Args: { agent_id: string; match_count?: number; match_threshold?: number; query_embedding: string }
        Returns: {
          content: string
          id: string
          metadata: Json
          similarity: number
          source_id: string
        }[]
      }
      record_training_use: {
        Args: { example_id: string; succeeded: boolean }
        Returns: undefined
      }
      recover_webhook: {
        Args: { since: string; webhook_id: string }
        Returns: number
      }
      redeliver_webhook: {
        Args: { delivery_id: string }
        Returns: undefined
      }
      redeliver_webhooks: {
        Args: { delivery_ids: (string)[] }
        Returns: number
      }
      request_visitor_erasure: {
        Args: { agent_id: string; email?: string; visitor_id?: string }
        Returns: string
      }
      reset_monthly_usage: {
        Args: Record<PropertyKey, never>
        Returns: number
      }
      retry_knowledge_source: {
        Args: { source_id: string }
        Returns: undefined
      }
      search_conversations: {
        Args: { agent_id: string; end_date?: string; limit?: number; offset?: number; search_term?: string; start_date?: string; status?: string }
        Returns: Database["public"]["CompositeTypes"]["conversation_match"][]
        SetofOptions: {
          from: "*"
          to: "conversation_match"
          isOneToOne: false
          isSetofReturn: true
        }
      }
      search_knowledge: {
        Args: { agent_id: string; lexical_weight?: number; match_count?: number; match_threshold?: number; metadata_filter?: Json; query_embedding?: string; query_text?: string; rrf_k?: number; source_ids?: (string)[] }
        Returns: {
          content: string
          id: string
          lexical_rank: number
          lexical_score: number
          matched_words: (string)[]
          metadata: Json
          score: number
          similarity: number
          source_id: string
          vector_rank: number
        }[]
      }
      send_test_webhook: {
        Args: { webhook_id: string }
        Returns: string
      }
      set_source_credentials: {
        Args: { credentials: Json; source_id: string }
        Returns: undefined
      }
      verify_api_key: {
        Args: { key: string; required_scope?: string }
        Returns: {
          agent_id: string
          api_key_id: string
          is_valid: boolean
          reason: string
          retry_after_s: number
          scopes: (string)[]
          user_id: string
        }[]
      }
    }
    Enums: {
      [_ in never]: never
    }
    CompositeTypes: {
      conversation_match: {
        id: string | null
        agent_id: string | null
        visitor_id: string | null
        visitor_name: string | null
        visitor_email: string | null
        visitor_phone: string | null
        source: string | null
        status: string | null
        sentiment_score: number | null
        sentiment_label: string | null
        is_lead: boolean | null
        lead_captured_at: string | null
        message_count: number | null
        duration_seconds: number | null
        last_message: string | null
        created_at: string | null
        updated_at: string | null
        total_count: number | null
      }
    }
  }
}

type PublicSchema = Database["public"]
type Relations = PublicSchema["Tables"] & PublicSchema["Views"]

export type Tables<Name extends keyof Relations> = Relations[Name]["Row"]

export type TablesInsert<Name extends keyof PublicSchema["Tables"]> =
  PublicSchema["Tables"][Name]["Insert"]

export type TablesUpdate<Name extends keyof PublicSchema["Tables"]> =
  PublicSchema["Tables"][Name]["Update"]

export type Enums<Name extends keyof PublicSchema["Enums"]> = PublicSchema["Enums"][Name]

export type CompositeTypes<Name extends keyof PublicSchema["CompositeTypes"]> =
  PublicSchema["CompositeTypes"][Name]

export const Constants = {
  public: {
    Enums: {},
  },
} as const
