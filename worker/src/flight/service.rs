//! The calls of Flight SQL. Each finds its session and hands the work on.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionBeginTransactionRequest, ActionBeginTransactionResult, ActionCancelQueryRequest,
    ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    ActionEndTransactionRequest, CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas,
    CommandGetExportedKeys, CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetSqlInfo,
    CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo, CommandPreparedStatementQuery,
    CommandPreparedStatementUpdate, CommandStatementQuery, CommandStatementUpdate,
    DoPutPreparedStatementResult, EndTransaction, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{
    Action, ActionType, FlightDescriptor, FlightInfo, HandshakeRequest, HandshakeResponse, Ticket,
};
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use prost::Message as _;
use tonic::transport::server::TlsConnectInfo;
use tonic::{Request, Response, Status, Streaming};

use super::desk::Desk;
use super::hub::{Hub, Intent};
use super::peer::Peer;
use super::token::random_name;
use super::{about, actions, catalog, keys, prepared, results, status};
use crate::engine::{Statement, running};

/// The headers by which a call names its session; the second is what duckgres sends.
const SESSION_HEADERS: [&str; 2] = ["x-duckworker-session", "x-duckgres-session"];

/// The results of `CancelQuery`, whose enumeration the library does not export.
const CANCELLED: i32 = 1;
const NOT_CANCELLABLE: i32 = 3;

/// The service.
#[derive(Clone)]
pub struct SqlService {
    hub: Arc<Hub>,
}

type Answer<T> = Result<Response<T>, Status>;
type DoGet = Answer<<SqlService as FlightService>::DoGetStream>;

impl SqlService {
    /// The service of a worker.
    pub fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    /// The session of a call that runs a statement.
    async fn desk<T>(&self, request: &Request<T>) -> Result<Arc<Desk>, Status> {
        self.desk_to(Intent::Begin, request).await
    }

    /// The session of a call that fetches, cancels or closes.
    async fn desk_to_finish<T>(&self, request: &Request<T>) -> Result<Arc<Desk>, Status> {
        self.desk_to(Intent::Finish, request).await
    }

    /// The session that a call names, or its connection's own.
    async fn desk_to<T>(&self, intent: Intent, request: &Request<T>) -> Result<Arc<Desk>, Status> {
        let metadata = request.metadata();
        if let Some(token) = SESSION_HEADERS.iter().find_map(|name| metadata.get(*name)) {
            let token = token.to_str().map_err(|_| Status::not_found("no such session"))?;
            return self.hub.session(token, intent);
        }
        let peer = request.extensions().get::<TlsConnectInfo<Peer>>().map(TlsConnectInfo::get_ref);
        let peer = peer.ok_or_else(|| Status::internal("the call came over no connection"))?;
        self.hub.connection(peer, intent).await
    }

    async fn run(&self, desk: &Arc<Desk>, statement: Statement) -> Result<i64, Status> {
        running::change(&desk.session, statement).await.map_err(|e| status::of_engine(&e))
    }
}

/// What is asked for comes with `DoGet`, for the very command that was asked with.
fn later<C: ProstMessageExt>(
    command: &C,
    schema: &Schema,
    request: Request<FlightDescriptor>,
) -> Answer<FlightInfo> {
    let ticket = command.as_any().encode_to_vec();
    results::info(schema, ticket, request.into_inner()).map(Response::new)
}

fn now(batch: Result<RecordBatch, Status>) -> DoGet {
    Ok(Response::new(results::of_batch(batch?)))
}

fn flight(error: impl Into<Status>) -> Status {
    error.into()
}

#[tonic::async_trait]
impl FlightSqlService for SqlService {
    type FlightService = Self;

    /// The token in the header is all that is asked for; a client that shakes hands learns that it
    /// is right.
    async fn do_handshake(
        &self,
        _: Request<Streaming<HandshakeRequest>>,
    ) -> Answer<BoxStream<'static, Result<HandshakeResponse, Status>>> {
        Ok(Response::new(stream::iter([Ok(HandshakeResponse::default())]).boxed()))
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let desk = self.desk(&request).await?;
        desk.check_transaction(query.transaction_id.as_deref())?;
        let (statement, patience) = (Statement::plain(query.query), self.hub.unclaimed());
        results::begin(&desk, statement, request.into_inner(), patience).await.map(Response::new)
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let desk = self.desk(&request).await?;
        let statement = prepared::statement(&desk, &query.prepared_statement_handle)?;
        let patience = self.hub.unclaimed();
        results::begin(&desk, statement, request.into_inner(), patience).await.map(Response::new)
    }

    async fn do_get_statement(
        &self,
        query: TicketStatementQuery,
        request: Request<Ticket>,
    ) -> DoGet {
        let desk = self.desk_to_finish(&request).await?;
        results::fetch(&desk, &query).map(Response::new)
    }

    async fn do_put_statement_update(
        &self,
        update: CommandStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let desk = self.desk(&request).await?;
        desk.check_transaction(update.transaction_id.as_deref())?;
        self.run(&desk, Statement::plain(update.query)).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let desk = self.desk(&request).await?;
        desk.check_transaction(query.transaction_id.as_deref())?;
        prepared::create(&desk, query.query).await
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let desk = self.desk(&request).await?;
        let handle = query.prepared_statement_handle;
        prepared::bind(&desk, &handle, request.into_inner()).await?;
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) })
    }

    async fn do_put_prepared_statement_update(
        &self,
        update: CommandPreparedStatementUpdate,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        let desk = self.desk(&request).await?;
        let handle = update.prepared_statement_handle;
        let statement = prepared::with_values(&desk, &handle, request.into_inner()).await?;
        self.run(&desk, statement).await
    }

    async fn do_action_close_prepared_statement(
        &self,
        query: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        let desk = self.desk_to_finish(&request).await?;
        prepared::close(&desk, &query.prepared_statement_handle);
        Ok(())
    }

    async fn do_action_begin_transaction(
        &self,
        _: ActionBeginTransactionRequest,
        request: Request<Action>,
    ) -> Result<ActionBeginTransactionResult, Status> {
        let desk = self.desk(&request).await?;
        self.run(&desk, Statement::plain("BEGIN TRANSACTION")).await?;
        let id = random_name();
        desk.begin_transaction(id.clone());
        Ok(ActionBeginTransactionResult { transaction_id: id.into() })
    }

    async fn do_action_end_transaction(
        &self,
        query: ActionEndTransactionRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        let desk = self.desk_to_finish(&request).await?;
        let end = match EndTransaction::try_from(query.action) {
            Ok(EndTransaction::Commit) => "COMMIT",
            Ok(EndTransaction::Rollback) => "ROLLBACK",
            _ => return Err(Status::invalid_argument("a transaction ends by commit or rollback")),
        };
        desk.end_transaction(&query.transaction_id)?;
        self.run(&desk, Statement::plain(end)).await.map(|_| ())
    }

    async fn do_action_cancel_query(
        &self,
        query: ActionCancelQueryRequest,
        request: Request<Action>,
    ) -> Result<ActionCancelQueryResult, Status> {
        let desk = self.desk_to_finish(&request).await?;
        let info = FlightInfo::decode(&*query.info);
        let info = info.map_err(|_| Status::invalid_argument("the info is not a FlightInfo"))?;
        let stopped = actions::cancel_info(&desk, &info);
        let result = if stopped { CANCELLED } else { NOT_CANCELLABLE };
        Ok(ActionCancelQueryResult { result })
    }

    async fn do_action_fallback(
        &self,
        request: Request<Action>,
    ) -> Answer<<Self as FlightService>::DoActionStream> {
        if actions::is_cancel(request.get_ref()) {
            let desk = self.desk_to_finish(&request).await?;
            return actions::cancel(&desk, request.get_ref());
        }
        actions::control(&self.hub, request.get_ref()).await.unwrap_or_else(|| {
            Err(Status::unimplemented("this worker knows no such action; ListActions names them"))
        })
    }

    async fn list_custom_actions(&self) -> Option<Vec<Result<ActionType, Status>>> {
        Some(actions::list())
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        later(&query, &query.into_builder().schema(), request)
    }

    async fn do_get_catalogs(&self, query: CommandGetCatalogs, request: Request<Ticket>) -> DoGet {
        now(catalog::catalogs(&*self.desk(&request).await?, query).await)
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let schema = query.clone().into_builder().schema();
        later(&query, &schema, request)
    }

    async fn do_get_schemas(&self, query: CommandGetDbSchemas, request: Request<Ticket>) -> DoGet {
        now(catalog::schemas(&*self.desk(&request).await?, query).await)
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let schema = query.clone().into_builder().schema();
        later(&query, &schema, request)
    }

    async fn do_get_tables(&self, query: CommandGetTables, request: Request<Ticket>) -> DoGet {
        now(catalog::tables(&*self.desk(&request).await?, query).await)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        later(&query, &query.into_builder().schema(), request)
    }

    async fn do_get_table_types(&self, query: CommandGetTableTypes, _: Request<Ticket>) -> DoGet {
        let mut types = query.into_builder();
        for name in catalog::TABLE_TYPES {
            types.append(name);
        }
        now(types.build().map_err(flight))
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        let about = about::sql_info(self.hub.instance().version())?;
        let schema = query.clone().into_builder(&about).schema();
        later(&query, &schema, request)
    }

    async fn do_get_sql_info(&self, query: CommandGetSqlInfo, _: Request<Ticket>) -> DoGet {
        let about = about::sql_info(self.hub.instance().version())?;
        now(query.into_builder(&about).build().map_err(flight))
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        later(&query, &query.into_builder(about::type_info()?).schema(), request)
    }

    async fn do_get_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        _: Request<Ticket>,
    ) -> DoGet {
        now(query.into_builder(about::type_info()?).build().map_err(flight))
    }

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        later(&query, &keys::primary(), request)
    }

    async fn do_get_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<Ticket>,
    ) -> DoGet {
        now(catalog::primary_keys(&*self.desk(&request).await?, query).await)
    }

    async fn get_flight_info_exported_keys(
        &self,
        query: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        later(&query, &keys::foreign(), request)
    }

    async fn do_get_exported_keys(&self, _: CommandGetExportedKeys, _: Request<Ticket>) -> DoGet {
        now(Ok(keys::no_foreign()))
    }

    async fn get_flight_info_imported_keys(
        &self,
        query: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        later(&query, &keys::foreign(), request)
    }

    async fn do_get_imported_keys(&self, _: CommandGetImportedKeys, _: Request<Ticket>) -> DoGet {
        now(Ok(keys::no_foreign()))
    }

    async fn get_flight_info_cross_reference(
        &self,
        query: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Answer<FlightInfo> {
        later(&query, &keys::foreign(), request)
    }

    async fn do_get_cross_reference(
        &self,
        _: CommandGetCrossReference,
        _: Request<Ticket>,
    ) -> DoGet {
        now(Ok(keys::no_foreign()))
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}
