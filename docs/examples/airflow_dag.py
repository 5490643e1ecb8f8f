"""A nightly job in Airflow 2.4 or newer: put it into the folder of DAGs, and adapt the paths.

A task takes the time of its run from Airflow, so that a night that is repeated gets the same again.
"""

from datetime import datetime, timedelta

from airflow import DAG
from airflow.operators.bash import BashOperator

FOLDER = "/srv/forecast"  # with the virtual environment, and the pipeline file with its paths
PATH = f"{FOLDER}/venv/bin:/usr/bin:/bin"

with DAG(
    dag_id="forecast_nightly",
    schedule="10 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,  # a store is locked by one run at a time
) as dag:
    check = BashOperator(
        task_id="check",
        bash_command="forecast run pipelines/nightly.toml --check",
        cwd=FOLDER,
        env={"PATH": PATH},
    )
    run = BashOperator(
        task_id="run",
        # 3: some series were left out. The forecasts of the others are written, and status says which
        bash_command="forecast run pipelines/nightly.toml --as-of '{{ data_interval_end }}' --wait 600"
        " || [ $? -eq 3 ]",
        cwd=FOLDER,
        env={"PATH": PATH},
        retries=2,
        retry_delay=timedelta(minutes=10),
        execution_timeout=timedelta(hours=3),
    )
    status = BashOperator(
        task_id="status",
        bash_command="forecast status pipelines/nightly.toml",
        cwd=FOLDER,
        env={"PATH": PATH},
        trigger_rule="all_done",  # also after a run that failed: its error is in the log of this task
    )
    check >> run >> status
