"""A database that is neither SQLite nor PostgreSQL to the program: a file of SQLite under the name of MySQL."""

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite


class MySQL(SQLiteDialect_pysqlite):
    """The dialect; `register` lets URLs name it as mysql+file:///path."""

    name = "mysql"
    supports_statement_cache = True


def register() -> None:
    registry.register("mysql.file", __name__, "MySQL")
