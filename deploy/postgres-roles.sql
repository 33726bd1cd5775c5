-- Two roles: one creates and changes tables, the other only reads and writes rows. Run once, as a superuser:
--   psql -v owner_password="$(openssl rand -hex 24)" -v app_password="$(openssl rand -hex 24)" -f postgres-roles.sql
-- Then, at each new version of import_pipeline or Dagster, as the owner:
--   DATABASE_URL=postgresql://import_pipeline_owner:…@127.0.0.1/import_pipeline import-pipeline migrate
-- Everything else runs as import_pipeline_app.
\set ON_ERROR_STOP on

CREATE ROLE import_pipeline_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE import_pipeline_app LOGIN PASSWORD :'app_password';
CREATE DATABASE import_pipeline OWNER import_pipeline_owner;
REVOKE ALL ON DATABASE import_pipeline FROM PUBLIC;
GRANT CONNECT ON DATABASE import_pipeline TO import_pipeline_app;

\connect import_pipeline

REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO import_pipeline_owner;
GRANT USAGE ON SCHEMA public TO import_pipeline_app;
-- Dagster's tables have a separate schema (DAGSTER_SCHEMA), since many applications use the same table names.
CREATE SCHEMA import_pipeline_dagster AUTHORIZATION import_pipeline_owner;
GRANT USAGE ON SCHEMA import_pipeline_dagster TO import_pipeline_app;
-- The app role may use tables that the owner creates later; without TRUNCATE, REFERENCES and TRIGGER.
ALTER DEFAULT PRIVILEGES FOR ROLE import_pipeline_owner IN SCHEMA public, import_pipeline_dagster
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO import_pipeline_app;
ALTER DEFAULT PRIVILEGES FOR ROLE import_pipeline_owner IN SCHEMA public, import_pipeline_dagster
    GRANT USAGE, SELECT ON SEQUENCES TO import_pipeline_app;
